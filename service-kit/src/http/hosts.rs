//! The names under which a service answers.
//!
//! A page that a browser has loaded from `evil.example` may have that name point at the service's address a moment later.
//! The browser then takes the service for `evil.example`, and lets the page read its answers (DNS rebinding). What it asks
//! for still says `Host: evil.example`, so that is what is refused.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HOST;

use super::Problem;

/// The hosts that requests may be for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Hosts {
    /// Whichever: others than this machine's programs reach the service, under names that it can't know.
    #[default]
    Any,
    /// These, in small letters and without a port.
    Only(Arc<[String]>),
}

impl Hosts {
    /// What holds unless `ALLOWED_HOSTS` is set: on loopback the names of loopback, elsewhere any.
    pub fn of(addr: SocketAddr) -> Self {
        if !crate::config::is_loopback(addr) {
            return Self::Any;
        }
        let own = match addr {
            SocketAddr::V4(addr) => addr.ip().to_string(),
            SocketAddr::V6(addr) => format!("[{}]", addr.ip()),
        };
        let names = ["localhost", "127.0.0.1", "[::1]"];
        Self::Only(names.into_iter().map(str::to_owned).chain([own]).collect())
    }

    /// Refuses a request for another host, or for none.
    pub(super) fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let Self::Only(names) = self else { return Ok(()) };
        let asked = asked(request);
        if asked.as_ref().is_some_and(|host| names.contains(&without_port(host))) {
            return Ok(());
        }
        let asked =
            asked.map_or_else(|| "The request names no host".to_owned(), |host| format!("The host is {host:?}"));
        Err(Problem::misdirected(format!("{asked}; expected one of those that ALLOWED_HOSTS names.")))
    }
}

/// The host that a request is for, with its port if it has one. A URL in the request's first line comes before the
/// header, as RFC 9112 has it.
pub(super) fn asked(request: &ServiceRequest) -> Option<String> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str().to_owned());
    }
    let mut given = request.headers().get_all(HOST);
    let host = given.next()?.to_str().ok()?;
    if given.next().is_some() { None } else { Some(host.to_owned()) }
}

fn without_port(host: &str) -> String {
    let port = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
    port.map_or(host, |(name, _)| name).to_ascii_lowercase()
}

impl FromStr for Hosts {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let names: Vec<_> = text.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        let is_name = |name: &String| {
            let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || (inner.is_some() && c == ':');
            let inner = inner.unwrap_or(name);
            !inner.is_empty() && inner.chars().all(allowed)
        };
        if names.iter().all(is_name) {
            Ok(Self::Only(names.into()))
        } else {
            Err("a part of it is no host name, or has a port")
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn allows(hosts: &Hosts, host: &str) -> bool {
        hosts.check(&TestRequest::default().insert_header((HOST, host)).to_srv_request()).is_ok()
    }

    #[test]
    fn on_loopback_a_service_answers_under_loopbacks_names_whatever_the_port() {
        let hosts = Hosts::of(SocketAddr::from(([127, 0, 0, 2], 8080)));
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:8080", "127.0.0.2"] {
            assert!(allows(&hosts, host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "[::1].evil", "127.0.0.1.evil", "", ":8080", "[::2]"] {
            assert!(!allows(&hosts, host), "{host}");
        }
        assert!(allows(&Hosts::of(SocketAddr::from(([0, 0, 0, 0], 8080))), "evil.example"));
    }

    #[test]
    fn two_hosts_or_none_or_one_in_the_first_line_do_not_get_around_it() {
        let hosts = Hosts::of(SocketAddr::from(([127, 0, 0, 1], 8080)));
        let twice = TestRequest::default().append_header((HOST, "localhost")).append_header((HOST, "evil.example"));
        assert!(hosts.check(&twice.to_srv_request()).is_err());
        assert!(hosts.check(&TestRequest::default().to_srv_request()).is_err());
        let absolute = TestRequest::with_uri("http://evil.example/x").insert_header((HOST, "localhost"));
        assert!(hosts.check(&absolute.to_srv_request()).is_err());
    }

    #[test]
    fn hosts_are_names_or_addresses_without_a_port() {
        let read = |text: &str| text.parse::<Hosts>();
        let hosts = read("Shop.example, 10.0.0.7,[::1]").unwrap();
        assert!(allows(&hosts, "shop.example:443") && allows(&hosts, "[::1]") && !allows(&hosts, "localhost"));
        assert_eq!(read("*"), Ok(Hosts::Any));
        for bad in ["shop.example:8080", "https://shop.example", "a,,b", "", "[]", "a b", "::1", "a,*"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
