//! The tokens that are issued: JWTs for services (RFC 9068), and for programs that ask who signed in (OpenID Connect).

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;
use uuid::Uuid;

use crate::accounts::Account;
use crate::failure::Failure;
use crate::keys::Key;

/// How long a token is valid.
pub const LIFE: TimeDelta = TimeDelta::minutes(10);

/// Who issues, and for whom.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Known once the server is bound, at the latest.
    name: Arc<OnceLock<String>>,
    audience: String,
}

#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    client_id: &'a str,
    scope: &'a str,
    roles: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    iat: i64,
    exp: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    email: &'a str,
    name: &'a str,
}

impl Issuer {
    pub fn new(name: Option<String>, audience: String) -> Self {
        let known = name.map_or_else(OnceLock::new, OnceLock::from);
        Self { name: Arc::new(known), audience }
    }

    /// Names it, unless it has a name.
    pub fn name_if_unnamed(&self, name: impl FnOnce() -> String) {
        self.name.get_or_init(name);
    }

    /// Its name, which is also the URL under which all of it is found. Waits for it; it is named right after the server is
    /// bound, before which nobody asks.
    pub fn name(&self) -> &str {
        self.name.wait()
    }

    /// A token for services: of an account, or of a machine, which is its client itself.
    pub fn access_token(
        &self,
        key: &Key,
        account: Option<&Account>,
        client: &str,
        scope: &str,
        now: DateTime<Utc>,
    ) -> Result<String, Failure> {
        let claims = AccessClaims {
            iss: self.name(),
            aud: &self.audience,
            sub: account.map_or(client, |account| &account.id),
            iat: now.timestamp(),
            exp: (now + LIFE).timestamp(),
            jti: Uuid::now_v7().to_string(),
            client_id: client,
            scope,
            roles: account.map_or(&[], |account| &account.roles),
            email: account.map(|account| account.email.as_str()),
            name: account.map(|account| account.name.as_str()),
        };
        sign(key, "at+jwt", &claims)
    }

    /// A token for the program that somebody signed in at. Its audience is that program, so no service takes it.
    pub fn id_token(
        &self,
        key: &Key,
        account: &Account,
        client: &str,
        nonce: Option<&str>,
        signed_in_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<String, Failure> {
        let claims = IdClaims {
            iss: self.name(),
            aud: client,
            sub: &account.id,
            iat: now.timestamp(),
            exp: (now + LIFE).timestamp(),
            auth_time: signed_in_at.timestamp(),
            nonce,
            email: &account.email,
            name: &account.name,
        };
        sign(key, "JWT", &claims)
    }
}

fn sign(key: &Key, kind: &str, claims: &impl Serialize) -> Result<String, Failure> {
    let mut header = Header::new(Algorithm::ES256);
    header.typ = Some(kind.to_owned());
    header.kid = Some(key.id.clone());
    Ok(encode(&header, claims, &EncodingKey::from_ec_der(&key.private_key))?)
}
