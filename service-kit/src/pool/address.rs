//! A database's URL: what is accepted, what it means, and how it is shown without its password.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// The reason that is given for refusing a URL or a server that asks for TLS.
pub(super) const NO_TLS: &str = "TLS to PostgreSQL is not supported yet";

/// Parameters of libpq that only make sense with TLS.
const TLS_ONLY: [&str; 7] =
    ["sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir", "ssl_min_protocol_version"];

/// Reads a URL, which may name several hosts (`postgres://a:5432,b:5432/shop`). The answer never repeats the URL,
/// since it may hold a password.
///
/// # Errors
/// Fails with the reason if the URL can't be read, names no database, or asks for TLS.
pub(super) fn read(url: &str) -> Result<Config, String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).ok_or("it is not a URL")?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err("its scheme is not postgres".to_owned());
    }
    let url = without_ssl_mode(url)?;
    let config: Config = url.parse().map_err(|error| format!("it can't be read: {}", told(&error)))?;
    if config.get_dbname().is_none_or(str::is_empty) {
        return Err("it names no database".to_owned());
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
        return Err("its target_session_attrs is read-only, and what connects here writes".to_owned());
    }
    Ok(config)
}

/// Checks a URL without connecting.
///
/// # Errors
/// Fails with the reason if the URL can't be used. The reason never repeats the URL.
pub fn check(url: &str) -> Result<(), String> {
    read(url).map(drop)
}

/// Splits a comma-separated list of URLs. Each URL may itself name several hosts, separated by commas too.
pub fn list(text: &str) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let in_hosts = |url: &String| url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        match urls.last_mut().filter(|url| in_hosts(url) && !part.contains("://")) {
            Some(url) => *url = format!("{url},{part}"),
            None => urls.push(part.to_owned()),
        }
    }
    urls
}

/// Reads `sslmode` and removes it from the URL, because tokio-postgres knows fewer modes than libpq.
fn without_ssl_mode(url: &str) -> Result<String, String> {
    let Some((base, query)) = url.split_once('?') else { return Ok(url.to_owned()) };
    let mut kept = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (name, value) {
            ("sslmode", "disable" | "allow" | "prefer") => {}
            ("sslmode", "require" | "verify-ca" | "verify-full")
            | ("channel_binding", "require")
            | ("sslnegotiation", "direct") => {
                return Err(format!("{name}={value} asks for TLS: {NO_TLS}; use sslmode=disable"));
            }
            ("sslmode", _) => {
                return Err(
                    "its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full".to_owned()
                );
            }
            _ if TLS_ONLY.contains(&name) => return Err(format!("{name} asks for TLS: {NO_TLS}")),
            _ => kept.push(parameter),
        }
    }
    Ok(if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) })
}

/// One configuration for each host, in the URL's order. Each host gets its own time limit, so that one that hangs
/// doesn't keep the others from being tried.
pub(super) fn each_host(config: &Config) -> Vec<Config> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    (0..hosts.len().max(addresses.len()))
        .map(|number| {
            let mut one = Config::new();
            if let Some(user) = config.get_user() {
                one.user(user);
            }
            if let Some(password) = config.get_password() {
                one.password(password);
            }
            if let Some(database) = config.get_dbname() {
                one.dbname(database);
            }
            if let Some(options) = config.get_options() {
                one.options(options);
            }
            if let Some(name) = config.get_application_name() {
                one.application_name(name);
            }
            match hosts.get(number) {
                Some(Host::Tcp(host)) => one.host(host),
                Some(Host::Unix(folder)) => one.host_path(folder),
                None => &mut one,
            };
            if let Some(address) = addresses.get(number) {
                if hosts.is_empty() {
                    one.host(address.to_string());
                }
                one.hostaddr(*address);
            }
            one.port(ports.get(number).or(ports.first()).copied().unwrap_or(5432));
            one.ssl_mode(SslMode::Disable).target_session_attrs(config.get_target_session_attrs());
            one.channel_binding(config.get_channel_binding());
            one.connect_timeout(config.get_connect_timeout().copied().unwrap_or(super::CONNECT));
            noticing_silence(&mut one, config);
            one
        })
        .collect()
}

/// Makes the socket notice within half a minute that the server is gone, unless the URL sets other times.
fn noticing_silence(one: &mut Config, given: &Config) {
    let default_idle = Config::new().get_keepalives_idle();
    let idle = Some(given.get_keepalives_idle()).filter(|idle| *idle != default_idle);
    one.keepalives(given.get_keepalives())
        .keepalives_idle(idle.unwrap_or(Duration::from_secs(10)))
        .keepalives_interval(given.get_keepalives_interval().unwrap_or(Duration::from_secs(5)))
        .keepalives_retries(given.get_keepalives_retries().unwrap_or(3))
        .tcp_user_timeout(given.get_tcp_user_timeout().copied().unwrap_or(Duration::from_secs(15)));
}

/// The path of the Unix socket, if the host is reached over one.
pub(super) fn socket(one: &Config) -> Option<PathBuf> {
    match one.get_hosts() {
        [Host::Unix(folder)] => Some(folder.join(format!(".s.PGSQL.{}", one.get_ports().first()?))),
        _ => None,
    }
}

/// A URL's hosts, ports and database, without user and password: safe to log.
pub fn place(url: &str) -> String {
    let Ok(config) = read(url) else { return "an unreadable URL".to_owned() };
    let host = |one: &Config| {
        let port = one.get_ports().first().copied().unwrap_or_default();
        match one.get_hosts().first()? {
            Host::Tcp(host) if host.contains(':') => Some(format!("[{host}]:{port}")),
            Host::Tcp(host) => Some(format!("{host}:{port}")),
            Host::Unix(folder) => Some(format!("{}:{port}", folder.display())),
        }
    };
    let hosts: Vec<_> = each_host(&config).iter().filter_map(host).collect();
    format!("{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

/// The role that a URL names, for messages.
pub(super) fn role(url: &str) -> String {
    match read(url).ok().and_then(|config| config.get_user().map(str::to_owned)) {
        Some(role) if !role.is_empty() => format!("the role {role}"),
        _ => "the role that it doesn't name".to_owned(),
    }
}

/// An error together with its causes.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        told = format!("{told}: {inner}");
        cause = inner.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_are_read_in_their_order_and_shown_without_the_password() {
        let url = "postgres://shop:hunter2@a:5433,b:5434/orders?target_session_attrs=read-write";
        assert_eq!(place(url), "a:5433,b:5434/orders");
        let hosts = each_host(&read(url).unwrap());
        let ports: Vec<_> = hosts.iter().map(|one| one.get_ports().to_vec()).collect();
        assert_eq!(ports, [[5433], [5434]]);
        assert!(hosts.iter().all(|one| one.get_user() == Some("shop") && one.get_dbname() == Some("orders")));
        assert_eq!(place("postgres://shop:hunter2@[::1]:5433/orders"), "[::1]:5433/orders");
        assert_eq!(place("postgres://shop@%2Frun%2Fpostgresql/orders"), "/run/postgresql:5432/orders");
    }

    #[test]
    fn a_bare_address_is_a_host_and_a_folder_has_a_socket() {
        let one = |url: &str| each_host(&read(url).unwrap()).remove(0);
        let bare = one("postgres://shop@/orders?hostaddr=10.0.0.1");
        assert_eq!((bare.get_hosts(), socket(&bare)), (&[Host::Tcp("10.0.0.1".to_owned())][..], None));
        assert_eq!(place("postgres://shop@/orders?hostaddr=10.0.0.1"), "10.0.0.1:5432/orders");
        let local = one("postgres://shop@%2Frun%2Fpostgresql:5433/orders");
        assert_eq!(socket(&local), Some("/run/postgresql/.s.PGSQL.5433".into()));
    }

    #[test]
    fn a_url_that_asks_for_tls_is_refused_with_words_that_say_so() {
        for asks in
            ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full&sslrootcert=/ca.pem", "sslrootcert=/ca"]
        {
            let told = check(&format!("postgres://shop:hunter2@a/orders?{asks}")).unwrap_err();
            assert!(told.contains(NO_TLS) && !told.contains("hunter2"), "{told}");
        }
        for plain in ["sslmode=disable", "sslmode=allow", "sslmode=prefer", "application_name=x&sslmode=prefer"] {
            assert_eq!(check(&format!("postgres://shop@a/orders?{plain}")), Ok(()), "{plain}");
        }
        assert!(check("postgres://shop@a/orders?sslmode=maybe").unwrap_err().contains("none of disable"));
    }

    #[test]
    fn a_list_of_urls_keeps_the_hosts_of_each_together() {
        let urls = list("postgres://u:p@a:1,b:2/x, postgresql://c/y,nonsense");
        assert_eq!(urls, ["postgres://u:p@a:1,b:2/x", "postgresql://c/y", "nonsense"]);
    }

    #[test]
    fn silence_is_noticed_unless_the_url_has_other_times() {
        let one = &each_host(&read("postgres://a/b").unwrap())[0];
        assert_eq!(one.get_keepalives_idle(), Duration::from_secs(10));
        assert_eq!(one.get_tcp_user_timeout(), Some(&Duration::from_secs(15)));
        let one = &each_host(&read("postgres://a/b?keepalives_idle=60").unwrap())[0];
        assert_eq!(one.get_keepalives_idle(), Duration::from_secs(60));
    }
}
