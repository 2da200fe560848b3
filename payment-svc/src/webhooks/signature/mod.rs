//! `Stripe-Signature`: <https://docs.stripe.com/webhooks#verify-manually>.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// How far the sender's time may lie from ours, in seconds: what was signed earlier may be a replay.
const TOLERANCE: u64 = 300;
/// More signatures than any sender has secrets; each costs a comparison.
const MOST_SIGNATURES: usize = 16;

/// The secrets that a webhook may be signed with: one, or the old and the new one while they are changed.
#[derive(Clone)]
pub struct Secrets(Vec<SecretString>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("it is not of the form t=SECONDS,v1=64 hex digits")]
    Malformed,
    #[error("none of its v1 signatures is one of this body by our secret")]
    NotOurs,
    /// It was signed too long ago, or its sender's clock is wrong.
    #[error("its time is more than {TOLERANCE} seconds from now")]
    NotNow,
}

impl Secrets {
    /// Whether the header's signature was made of this body with one of the secrets, and lately.
    pub fn verify(&self, header: &str, body: &[u8], now: DateTime<Utc>) -> Result<(), BadSignature> {
        let signed = Signed::parse(header).ok_or(BadSignature::Malformed)?;
        let by_any = self.0.iter().any(|secret| signed.is_by(secret, body));
        if !by_any {
            return Err(BadSignature::NotOurs);
        }
        let age = now.timestamp().checked_sub(signed.seconds);
        let lately = age.is_some_and(|age| age.unsigned_abs() <= TOLERANCE);
        if lately { Ok(()) } else { Err(BadSignature::NotNow) }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// A text that holds no secret, or one that can't be one.
#[derive(Debug)]
pub struct NoSecrets;

impl fmt::Display for NoSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is empty or has blanks or other signs that no secret has")
    }
}

impl FromStr for Secrets {
    type Err = NoSecrets;

    fn from_str(text: &str) -> Result<Self, NoSecrets> {
        let fits = |secret: &str| !secret.is_empty() && secret.chars().all(|c| c.is_ascii_graphic());
        let secrets: Vec<_> = text.split(',').map(str::trim).collect();
        if !secrets.iter().copied().all(fits) {
            return Err(NoSecrets);
        }
        Ok(Self(secrets.into_iter().map(SecretString::from).collect()))
    }
}

/// The header, read. Schemes but `v1` are another's business.
struct Signed<'a> {
    /// As it was written, which is what was signed.
    time: &'a str,
    seconds: i64,
    signatures: Vec<[u8; 32]>,
}

impl<'a> Signed<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let (mut time, mut signatures) = (None, vec![]);
        for part in header.split(',') {
            match part.trim().split_once('=')? {
                ("t", text) if time.is_none() => time = Some(text),
                ("t", _) => return None,
                ("v1", text) if signatures.len() < MOST_SIGNATURES => {
                    let mut signature = [0; 32];
                    hex::decode_to_slice(text, &mut signature).ok()?;
                    signatures.push(signature);
                }
                ("v1", _) => return None,
                _ => {}
            }
        }
        let time = time.filter(|text| text.bytes().all(|digit| digit.is_ascii_digit()))?;
        let seconds = time.parse().ok()?;
        (!signatures.is_empty()).then_some(Self { time, seconds, signatures })
    }

    /// Compares in constant time, so that how long it takes tells nothing of the signature.
    fn is_by(&self, secret: &SecretString, body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return false };
        mac.update(self.time.as_bytes());
        mac.update(b".");
        mac.update(body);
        self.signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    }
}

#[cfg(test)]
mod tests;
