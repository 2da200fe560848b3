//! The programs that may ask for tokens. Everybody knows their secrets: this issuer is for trying out.

use url::Url;

use crate::secrets;

/// What people's programs may ask for. None of these is anything that a machine may do.
const OPEN_ID: &[&str] = &["openid", "profile", "email", "offline_access"];

/// What `quadrille forget` may do here. No service knows this scope.
const DELETES_ACCOUNTS: &str = "accounts.delete";

#[derive(Debug)]
pub struct Client {
    pub id: &'static str,
    /// A machine has one, and is somebody by itself; a program without signs in people.
    secret: Option<&'static str>,
    /// Where people are sent back to; on this machine with any port (RFC 8252, 7.3).
    redirect_uris: &'static [&'static str],
    scopes: &'static [&'static str],
}

pub static CLIENTS: &[Client] = &[
    Client {
        id: "quadrille-cli",
        secret: None,
        // An IPv6 address can't be named in the page's Content-Security-Policy.
        redirect_uris: &["http://127.0.0.1/callback", "http://localhost/callback"],
        scopes: OPEN_ID,
    },
    Client {
        id: "warehouse",
        secret: Some("sandbox-warehouse"),
        redirect_uris: &[],
        scopes: &["stock.read", "stock.write"],
    },
    Client { id: "shop", secret: Some("sandbox-shop"), redirect_uris: &[], scopes: &["orders.read", "orders.write"] },
    Client {
        id: "backoffice",
        secret: Some("sandbox-backoffice"),
        redirect_uris: &[],
        scopes: &["orders.read", "stock.read", "payments.read", "payments.write", "notifications.read"],
    },
    Client { id: "erasure", secret: Some("sandbox-erasure"), redirect_uris: &[], scopes: &[DELETES_ACCOUNTS] },
];

impl Client {
    pub fn named(id: &str) -> Option<&'static Self> {
        CLIENTS.iter().find(|client| client.id == id)
    }

    /// Whether it is a machine, which proves who it is by its secret.
    pub const fn is_machine(&self) -> bool {
        self.secret.is_some()
    }

    pub fn may_delete_accounts(&self) -> bool {
        self.scopes.contains(&DELETES_ACCOUNTS)
    }

    pub fn has_secret(&self, given: &str) -> bool {
        self.secret.is_some_and(|secret| secrets::are_same(&secrets::sha256(secret), &secrets::sha256(given)))
    }

    /// The address to send people back to, if it is one of this client's.
    pub fn redirect(&self, uri: &str) -> Option<Url> {
        let asked = Url::parse(uri).ok()?;
        let mut without_port = asked.clone();
        without_port.set_port(None).ok()?;
        self.redirect_uris.contains(&without_port.as_str()).then_some(asked)
    }

    /// The scopes that were asked for, each once and in order; all of a machine's if it asked for none.
    ///
    /// # Errors
    /// One of them is not for this client.
    pub fn scope(&self, asked: Option<&str>) -> Result<String, String> {
        let asked: Vec<_> = match asked {
            Some(asked) => asked.split(' ').filter(|scope| !scope.is_empty()).collect(),
            None if self.is_machine() => self.scopes.to_vec(),
            None => Vec::new(),
        };
        match asked.iter().find(|scope| !self.scopes.contains(scope)) {
            Some(unknown) => Err(format!("{unknown:?} is not for {}; it may have {}", self.id, self.scopes.join(" "))),
            None => {
                let scopes = self.scopes.iter().filter(|scope| asked.contains(scope));
                Ok(scopes.copied().collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Every scope that there is.
pub fn all_scopes() -> Vec<&'static str> {
    let mut scopes: Vec<_> = CLIENTS.iter().flat_map(|client| client.scopes).copied().collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_back_to_a_registered_address_alone() {
        let client = Client::named("quadrille-cli").unwrap();
        for good in ["http://127.0.0.1:4321/callback", "http://127.0.0.1/callback", "http://localhost:8/callback"] {
            assert!(client.redirect(good).is_some(), "{good}");
        }
        for bad in [
            "https://127.0.0.1/callback",
            "http://127.0.0.1.example.com/callback",
            "http://127.0.0.1/callback/../x",
            "http://127.0.0.1/callback?next=x",
            "http://127.0.0.1/callback#x",
            "http://ann@127.0.0.1/callback",
            "http://example.com/callback",
            "/callback",
            "",
        ] {
            assert!(client.redirect(bad).is_none(), "{bad}");
        }
        assert!(Client::named("warehouse").unwrap().redirect("http://127.0.0.1/callback").is_none());
    }

    #[test]
    fn nobody_gets_a_scope_that_is_not_theirs_and_people_none_of_a_machine() {
        let (people, machine) = (Client::named("quadrille-cli").unwrap(), Client::named("warehouse").unwrap());
        assert_eq!(machine.scope(None).unwrap(), "stock.read stock.write");
        assert_eq!(machine.scope(Some("stock.write  stock.write")).unwrap(), "stock.write");
        assert_eq!(people.scope(Some("email openid")).unwrap(), "openid email");
        for client in CLIENTS {
            assert!(client.scope(Some("everything")).is_err());
            assert!(client.is_machine() || client.scopes.iter().all(|scope| OPEN_ID.contains(scope)));
        }
        assert!(people.scope(Some("orders.read")).is_err() && machine.scope(Some("orders.read")).is_err());
    }

    #[test]
    fn a_secret_is_the_client_s_own() {
        let shop = Client::named("shop").unwrap();
        assert!(shop.has_secret("sandbox-shop") && !shop.has_secret("sandbox-warehouse") && !shop.has_secret(""));
        assert!(!Client::named("quadrille-cli").unwrap().has_secret(""));
    }
}
