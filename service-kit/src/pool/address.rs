//! A database's URL: what is accepted, what it means, and how it is shown without its password.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::net::lookup_host;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, TargetSessionAttrs};

use super::tls::Tls;

/// What a URL says.
pub(super) struct Address {
    pub config: Config,
    pub tls: Tls,
}

/// Reads a URL, which may name several hosts (`postgres://a:5432,b:5432/shop`). The answer never repeats the URL,
/// since it may hold a password.
///
/// # Errors
/// Fails with the reason if the URL can't be read, names no database, or asks for what isn't supported.
pub(super) fn read(url: &str) -> Result<Address, String> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).ok_or("it is not a URL")?;
    if !matches!(scheme, "postgres" | "postgresql") {
        return Err("its scheme is not postgres".to_owned());
    }
    let (url, tls) = without_tls(url)?;
    let config: Config = url.parse().map_err(|error| format!("it can't be read: {}", told(&error)))?;
    if config.get_dbname().is_none_or(str::is_empty) {
        return Err("it names no database".to_owned());
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::ReadOnly {
        return Err("its target_session_attrs is read-only, and what connects here writes".to_owned());
    }
    Ok(Address { config, tls })
}

/// Checks a URL without connecting, and the certificates that it names.
///
/// # Errors
/// Fails with the reason if the URL can't be used. The reason never repeats the URL.
pub fn check(url: &str) -> Result<(), String> {
    read(url)?.tls.client().map(drop)
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

/// Reads `sslmode` and `sslrootcert` and removes them from the URL, because tokio-postgres knows less of them than libpq.
fn without_tls(url: &str) -> Result<(String, Tls), String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut root, mut kept) = (None, None, Vec::new());
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let decoded = || percent_decode_str(value).decode_utf8().map_err(|_| format!("its {name} is not UTF-8"));
        match name {
            "sslmode" => mode = Some(decoded()?.parse()?),
            "sslrootcert" => root = Some(decoded()?.into_owned()),
            _ if name.starts_with("ssl") => {
                return Err(format!("its {name} is not supported: of TLS there are sslmode and sslrootcert"));
            }
            _ => kept.push(parameter),
        }
    }
    let url = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
    Ok((url, Tls::new(mode, root)?))
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
            one.target_session_attrs(config.get_target_session_attrs());
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

/// One configuration for each address of a host. The host's name stays, as the one that a certificate must have.
///
/// # Errors
/// Fails if the name is not known.
pub(super) async fn each_address(one: Config) -> io::Result<Vec<Config>> {
    let ([Host::Tcp(name)], []) = (one.get_hosts(), one.get_hostaddrs()) else { return Ok(vec![one]) };
    let found = lookup_host((name.as_str(), one.get_ports().first().copied().unwrap_or(5432))).await?;
    let at = |address: SocketAddr| {
        let mut one = one.clone();
        one.hostaddr(address.ip());
        one
    };
    Ok(found.map(at).collect())
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
    let Ok(Address { config, .. }) = read(url) else { return "an unreadable URL".to_owned() };
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
    match read(url).ok().and_then(|address| address.config.get_user().map(str::to_owned)) {
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
    use super::super::tls::Mode;
    use super::*;

    #[test]
    fn several_hosts_are_read_in_their_order_and_shown_without_the_password() {
        let url = "postgres://shop:hunter2@a:5433,b:5434/orders?target_session_attrs=read-write";
        assert_eq!(place(url), "a:5433,b:5434/orders");
        let hosts = each_host(&read(url).unwrap().config);
        let ports: Vec<_> = hosts.iter().map(|one| one.get_ports().to_vec()).collect();
        assert_eq!(ports, [[5433], [5434]]);
        assert!(hosts.iter().all(|one| one.get_user() == Some("shop") && one.get_dbname() == Some("orders")));
        assert_eq!(place("postgres://shop:hunter2@[::1]:5433/orders"), "[::1]:5433/orders");
        assert_eq!(place("postgres://shop@%2Frun%2Fpostgresql/orders"), "/run/postgresql:5432/orders");
    }

    #[test]
    fn a_bare_address_is_a_host_and_a_folder_has_a_socket() {
        let one = |url: &str| each_host(&read(url).unwrap().config).remove(0);
        let bare = one("postgres://shop@/orders?hostaddr=10.0.0.1");
        assert_eq!((bare.get_hosts(), socket(&bare)), (&[Host::Tcp("10.0.0.1".to_owned())][..], None));
        assert_eq!(place("postgres://shop@/orders?hostaddr=10.0.0.1"), "10.0.0.1:5432/orders");
        let local = one("postgres://shop@%2Frun%2Fpostgresql:5433/orders");
        assert_eq!(socket(&local), Some("/run/postgresql/.s.PGSQL.5433".into()));
    }

    #[tokio::test]
    async fn a_name_is_kept_beside_each_of_its_addresses() {
        let at = async |url: &str| each_address(each_host(&read(url).unwrap().config).remove(0)).await;
        let named = at("postgres://localhost:5433/orders").await.unwrap();
        assert!(!named.is_empty());
        for one in &named {
            assert_eq!((one.get_hosts(), one.get_ports()), (&[Host::Tcp("localhost".to_owned())][..], &[5433][..]));
            assert!(matches!(one.get_hostaddrs(), [address] if address.is_loopback()));
        }
        let given = at("postgres://db/orders?hostaddr=10.0.0.1").await.unwrap();
        let [one] = &given[..] else { panic!("{given:?}") };
        assert_eq!(one.get_hostaddrs(), ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()]);
        assert_eq!(at("postgres://shop@%2Frun%2Fpostgresql/orders").await.unwrap().len(), 1);
    }

    #[test]
    fn what_a_url_asks_of_tls_is_read_and_what_is_not_supported_is_named() {
        let tls = |query: &str| read(&format!("postgres://shop:hunter2@a/orders?{query}")).map(|address| address.tls);
        let file = Some("/etc/a ca.pem".to_owned());
        assert_eq!(tls("sslmode=verify-full&sslrootcert=/etc/a%20ca.pem"), Tls::new(Some(Mode::VerifyFull), file));
        assert_eq!(tls("sslmode=require"), Tls::new(Some(Mode::Require), None));
        assert_eq!(tls("application_name=x"), Tls::new(Some(Mode::Prefer), None));
        let others = &read("postgres://a/orders?sslmode=require&application_name=x").unwrap().config;
        assert_eq!(others.get_application_name(), Some("x"));
        for (query, words) in [
            ("sslmode=maybe", "its sslmode is none of disable"),
            ("sslcert=/me.pem", "its sslcert is not supported"),
            ("sslrootcert=%FF", "its sslrootcert is not UTF-8"),
            ("sslrootcert=/ca.pem", "its sslrootcert needs sslmode=verify-full"),
        ] {
            let told = tls(query).unwrap_err();
            assert!(told.contains(words) && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn a_list_of_urls_keeps_the_hosts_of_each_together() {
        let urls = list("postgres://u:p@a:1,b:2/x, postgresql://c/y,nonsense");
        assert_eq!(urls, ["postgres://u:p@a:1,b:2/x", "postgresql://c/y", "nonsense"]);
    }

    #[test]
    fn silence_is_noticed_unless_the_url_has_other_times() {
        let one = &each_host(&read("postgres://a/b").unwrap().config)[0];
        assert_eq!(one.get_keepalives_idle(), Duration::from_secs(10));
        assert_eq!(one.get_tcp_user_timeout(), Some(&Duration::from_secs(15)));
        let one = &each_host(&read("postgres://a/b?keepalives_idle=60").unwrap().config)[0];
        assert_eq!(one.get_keepalives_idle(), Duration::from_secs(60));
    }
}
