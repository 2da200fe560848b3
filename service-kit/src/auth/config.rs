//! Who signs the tokens that a service accepts.

use std::net::SocketAddr;
use std::str::FromStr;

use url::Url;

use super::GuestLinks;
use super::guest::SHORTEST;
use super::keys::Source;
use crate::config::vars::SANDBOX;
use crate::config::{Reader, is_loopback};
use crate::http_client::is_on_this_machine;

/// The variables that say so.
pub mod vars {
    use crate::config::Var;

    /// Whether tokens are asked for.
    pub static AUTH: Var = Var {
        name: "AUTH",
        what: "Whether requests need a token. Off, everybody may do everything: for one machine alone.",
        expected: "on, or off where the service listens on loopback",
        example: "off",
        default: Some("on"),
    };
    /// The issuer.
    pub static AUTH_ISSUER: Var = Var {
        name: "AUTH_ISSUER",
        what: "The OpenID Connect issuer whose tokens are accepted, exactly as they name it.",
        expected: "a URL, or AUTH=off on loopback",
        example: "https://login.example.com/realms/shop",
        default: None,
    };
    /// The audience.
    pub static AUTH_AUDIENCE: Var = Var {
        name: "AUTH_AUDIENCE",
        what: "For whom tokens must be: one of their audiences.",
        expected: "a text",
        example: "quadrille",
        default: Some("quadrille"),
    };
    /// Where the keys are.
    pub static AUTH_JWKS_URL: Var = Var {
        name: "AUTH_JWKS_URL",
        what: "Where the issuer's keys are, for an issuer without a discovery document.",
        expected: "a URL; the discovery document says it when this is not set",
        example: "https://login.example.com/jwks",
        default: None,
    };
    /// Whether an order needs an account.
    pub static GUEST_ORDERS: Var = Var {
        name: "GUEST_ORDERS",
        what: "Whether orders are taken without a token; whoever places one gets a link that shows and cancels it.",
        expected: "on or off",
        example: "off",
        default: Some("on"),
    };
    /// What signs guests' links.
    pub static GUEST_LINK_SECRET: Var = Var {
        name: "GUEST_LINK_SECRET",
        what: "What signs the links of guests' orders, the same for order-svc and notification-svc. Of several, with commas between, the first signs and all are accepted.",
        expected: "a secret of 32 characters or more",
        example: "2f1c9a4be0d74d5f8a6b3c2d1e0f9a8b",
        default: None,
    };
    /// Where the roles stand.
    pub static AUTH_ROLES_CLAIM: Var = Var {
        name: "AUTH_ROLES_CLAIM",
        what: "Where a token has the roles (customer, staff, operator).",
        expected: "the path of an array of texts",
        example: "realm_access.roles",
        default: Some("roles"),
    };
}

impl GuestLinks {
    /// Reads whether guests may order, and what signs their links. Where nobody is asked who they are (`by_token` is false)
    /// no secret is needed.
    pub fn read(reader: &mut Reader, by_token: bool) -> Option<Option<Self>> {
        let orders: Option<Asked> = reader.read(&vars::GUEST_ORDERS);
        let secret = reader.optional_secret(&vars::GUEST_LINK_SECRET);
        match (orders?, secret) {
            (Asked::Off, _) => Some(None),
            (Asked::On, Some(secret)) => match Self::new(&secret) {
                Some(links) => Some(Some(links)),
                None => {
                    reader.refuse(&vars::GUEST_LINK_SECRET, format!("it has fewer than {SHORTEST} characters"));
                    None
                }
            },
            (Asked::On, None) if by_token => {
                reader.lacks(&vars::GUEST_LINK_SECRET, "guests may order (GUEST_ORDERS=off asks for an account)");
                None
            }
            (Asked::On, None) => Some(None),
        }
    }
}

/// Whose tokens are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthConfig {
    /// Nobody's are asked for: everybody may do everything.
    Off,
    /// Those of one issuer.
    By {
        /// As tokens name it.
        issuer: String,
        /// For whom they must be.
        audience: String,
        /// Where the keys are.
        keys: Source,
        /// The path of the claim with the roles.
        roles_claim: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    On,
    Off,
}

impl FromStr for Asked {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("neither"),
        }
    }
}

impl AuthConfig {
    /// Reads the variables. `listens_at` is where the service can be reached.
    pub fn read(reader: &mut Reader, listens_at: Option<SocketAddr>) -> Option<Self> {
        let asked: Option<Asked> = reader.read(&vars::AUTH);
        let issuer = reader.optional::<String>(&vars::AUTH_ISSUER)?;
        let audience = reader.read(&vars::AUTH_AUDIENCE);
        let jwks = reader.optional::<String>(&vars::AUTH_JWKS_URL)?;
        let roles_claim = reader.read(&vars::AUTH_ROLES_CLAIM);
        let sandbox = reader.optional::<u8>(&SANDBOX);
        if asked? == Asked::Off {
            if listens_at.is_some_and(|addr| !is_loopback(addr)) {
                reader.refuse(&vars::AUTH, "the service does not listen on loopback, so anybody could reach it");
                return None;
            }
            return Some(Self::Off);
        }
        let Some(issuer) = issuer else {
            reader.lacks(&vars::AUTH_ISSUER, "without it no token can be checked (AUTH=off asks for none)");
            return None;
        };
        let given = [(Some(&issuer), &vars::AUTH_ISSUER), (jwks.as_ref(), &vars::AUTH_JWKS_URL)];
        for (address, var) in given {
            let fault = address.and_then(|address| fault_of(address, sandbox == Some(Some(1))));
            if let Some(fault) = fault {
                reader.refuse(var, fault);
                return None;
            }
        }
        let keys = jwks.map_or_else(|| Source::Discovery(issuer.clone()), Source::Jwks);
        Some(Self::By { issuer, audience: audience?, keys, roles_claim: roles_claim? })
    }
}

/// Keys that come over http are whoever's is between.
fn fault_of(text: &str, is_sandbox: bool) -> Option<&'static str> {
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" => None,
        Ok(url) if url.scheme() == "http" && (is_sandbox || is_on_this_machine(&url)) => None,
        Ok(url) if url.scheme() == "http" => Some("its keys would come over http, from whoever is between: take https"),
        _ => Some("it is no address that begins with https://"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)], addr: &str) -> Result<AuthConfig, String> {
        let reader = Reader::from_pairs(pairs.iter().copied());
        reader.whole(|reader| AuthConfig::read(reader, addr.parse().ok())).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_issuer_a_service_does_not_start_and_says_which_variable_it_lacks() {
        let refused = read(&[], "127.0.0.1:8080").unwrap_err();
        assert!(refused.contains("AUTH_ISSUER is not set") && refused.contains("https://"), "{refused}");
    }

    #[test]
    fn off_is_taken_on_loopback_alone_in_a_sandbox_too() {
        for (addr, sandbox) in [("127.0.0.1:8080", "0"), ("[::1]:8080", "0"), ("127.0.0.1:8080", "1")] {
            assert_eq!(read(&[("AUTH", "off"), ("SANDBOX", sandbox)], addr), Ok(AuthConfig::Off), "{addr}");
        }
        for (addr, sandbox) in
            [("0.0.0.0:8080", "0"), ("0.0.0.0:8080", "1"), ("[::]:8080", "1"), ("10.0.0.7:8080", "1")]
        {
            let refused = read(&[("AUTH", "off"), ("SANDBOX", sandbox)], addr).unwrap_err();
            assert!(refused.contains("AUTH is refused") && refused.contains("loopback"), "{refused}");
        }
    }

    #[test]
    fn keys_are_at_the_issuer_unless_another_address_is_given() {
        let by = |keys| {
            let (issuer, audience) = ("https://login.example".to_owned(), "quadrille".to_owned());
            Ok(AuthConfig::By { issuer, audience, keys, roles_claim: "roles".to_owned() })
        };
        let issuer = ("AUTH_ISSUER", "https://login.example");
        assert_eq!(read(&[issuer], "0.0.0.0:1"), by(Source::Discovery("https://login.example".to_owned())));
        let jwks = ("AUTH_JWKS_URL", "https://keys.example/jwks");
        assert_eq!(read(&[issuer, jwks], "0.0.0.0:1"), by(Source::Jwks("https://keys.example/jwks".to_owned())));
        for bad in ["login.example", "http://login.example", "ftp://login.example"] {
            let refused = read(&[("AUTH_ISSUER", bad)], "0.0.0.0:1").unwrap_err();
            assert!(refused.contains("AUTH_ISSUER is refused"), "{refused}");
        }
        for good in ["http://127.0.0.1:8091", "http://localhost:8091"] {
            assert!(read(&[("AUTH_ISSUER", good)], "0.0.0.0:1").is_ok(), "{good}");
        }
        assert!(read(&[("AUTH_ISSUER", "http://sandbox-issuer:8091"), ("SANDBOX", "1")], "0.0.0.0:1").is_ok());
    }
}
