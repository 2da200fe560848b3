//! Links for guests: a signed token that shows and cancels one order.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use uuid::Uuid;

/// What the ids of customers without an account begin with, so that no guest takes an account's.
pub const GUEST: &str = "guest-";
/// What tokens of guests begin with, so that they are told from the issuer's.
const PREFIX: &str = "guest.";
/// In characters.
pub(super) const SHORTEST: usize = 32;

/// Signs and checks guests' tokens.
#[derive(Clone, Debug)]
pub struct GuestLinks {
    /// The first one signs, all are accepted.
    secrets: Arc<[SecretString]>,
}

impl GuestLinks {
    /// Signs with the first of these secrets, which are separated by commas, and accepts all. None if one is too short to
    /// keep anybody from guessing it.
    pub fn new(secrets: &SecretString) -> Option<Self> {
        let secrets: Vec<_> = secrets.expose_secret().split(',').map(str::trim).collect();
        let are_long = secrets.iter().all(|secret| secret.len() >= SHORTEST);
        are_long.then(|| Self { secrets: secrets.into_iter().map(SecretString::from).collect() })
    }

    /// The token for one order. It is the same each time.
    pub fn token(&self, order: Uuid) -> Option<String> {
        let tag = mac(self.secrets.first()?, order)?.finalize().into_bytes();
        Some(format!("{PREFIX}{}.{}", order.simple(), hex::encode(tag)))
    }

    /// Which order a token is for; none if nobody here signed it.
    pub fn check(&self, token: &str) -> Option<Uuid> {
        let (order, tag) = token.strip_prefix(PREFIX)?.split_once('.')?;
        let (order, tag) = (Uuid::try_parse(order).ok()?, hex::decode(tag).ok()?);
        let signed = |secret| mac(secret, order).is_some_and(|mac| mac.verify_slice(&tag).is_ok());
        self.secrets.iter().any(signed).then_some(order)
    }

    /// Whether a token is a guest's, real or not.
    pub fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }
}

fn mac(secret: &SecretString, order: Uuid) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(b"quadrille guest link 1:");
    mac.update(order.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "the secret that was used until now";
    const NEW: &str = "the secret that is used from now on";

    fn links(secrets: &str) -> GuestLinks {
        GuestLinks::new(&SecretString::from(secrets)).unwrap()
    }

    #[test]
    fn a_token_is_for_its_order_and_no_other() {
        let (links, order, other) = (links(NEW), Uuid::now_v7(), Uuid::now_v7());
        let token = links.token(order).unwrap();
        assert_eq!(links.check(&token), Some(order));
        let forged = token.replace(&order.simple().to_string(), &other.simple().to_string());
        assert_eq!(links.check(&forged), None);
        for forged in ["guest.", "guest..", "guest.x.y", &token[..token.len() - 2], &token["guest.".len()..]] {
            assert_eq!(links.check(forged), None, "{forged}");
        }
    }

    #[test]
    fn an_older_secret_is_accepted_and_a_stranger_s_is_not() {
        let order = Uuid::now_v7();
        let (old, both) = (links(OLD).token(order).unwrap(), links(&format!("{NEW}, {OLD}")));
        assert_eq!(both.check(&old), Some(order));
        assert_ne!(both.token(order).unwrap(), old);
        assert_eq!(links(NEW).check(&old), None);
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        for secrets in ["", "short", &format!("{NEW},"), &format!("{NEW},short")] {
            assert!(GuestLinks::new(&SecretString::from(secrets)).is_none(), "{secrets}");
        }
    }
}
