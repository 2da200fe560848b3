//! Whoever is signed in. The browser's cookie opens what the database keeps sealed, so neither tells anything alone.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Bytea, Timestamptz};
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};
use service_kit::{Pool, prepared};

use crate::secrets;

/// How long somebody stays signed in who does nothing.
pub const LIFE: Duration = Duration::from_secs(12 * 60 * 60);
/// Tokens are renewed this long before they expire.
const EARLY: TimeDelta = TimeDelta::seconds(90);

/// Who is signed in, and by which tokens.
#[derive(Clone, Deserialize, Serialize)]
pub struct Session {
    pub sub: String,
    pub name: Option<String>,
    pub email: Option<String>,
    pub roles: Vec<String>,
    pub access_token: String,
    pub refresh_token: Option<String>,
    /// By which the issuer knows whom to sign out.
    #[serde(default)]
    pub id_token: Option<String>,
    /// When the access token expires.
    pub good_until: DateTime<Utc>,
}

impl Session {
    pub fn is(&self, role: &str) -> bool {
        self.roles.iter().any(|known| known == role)
    }

    /// Whether the control room is theirs.
    pub fn works_here(&self) -> bool {
        self.is("staff") || self.is("operator")
    }

    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.good_until - EARLY < now
    }
}

/// Keeps a new session, and returns the cookie that opens it.
pub async fn begin(pool: &Pool, session: &Session) -> anyhow::Result<String> {
    let cookie = secrets::random();
    let (id, sealed, expires_at) = kept(&cookie, session)?;
    let mut conn = pool.get().await?;
    Begin { id: &id, sealed: &sealed, expires_at: &expires_at }.execute(&mut *conn).await?;
    Ok(cookie)
}

/// A session as the table has it.
fn kept(cookie: &str, session: &Session) -> anyhow::Result<(Vec<u8>, Vec<u8>, DateTime<Utc>)> {
    let sealed = secrets::seal(cookie, &serde_json::to_vec(session)?)?;
    Ok((secrets::hash(cookie), sealed, Utc::now() + LIFE))
}

/// The session that the cookie opens, if it has not ended.
pub async fn find(pool: &Pool, cookie: &str) -> anyhow::Result<Option<Session>> {
    if !secrets::is_like_random(cookie) {
        return Ok(None);
    }
    let mut conn = pool.get().await?;
    let found: Option<Vec<u8>> = Find { id: &secrets::hash(cookie) }.get_result(&mut *conn).await.optional()?;
    let Some(sealed) = found else { return Ok(None) };
    let content = secrets::open(cookie, &sealed).context("a session can't be opened")?;
    Ok(serde_json::from_slice(&content).ok())
}

/// Keeps what has changed of it, for as long again. False if it was ended meanwhile: it stays so.
pub async fn renew(pool: &Pool, cookie: &str, session: &Session) -> anyhow::Result<bool> {
    let (id, sealed, expires_at) = kept(cookie, session)?;
    let mut conn = pool.get().await?;
    let renewed = Renew { sealed: &sealed, expires_at: &expires_at, id: &id }.execute(&mut *conn).await?;
    Ok(renewed > 0)
}

/// Whether the caller renews its tokens: of several at once one does, since a refresh token that comes twice ends the session.
pub async fn may_renew(pool: &Pool, cookie: &str) -> anyhow::Result<bool> {
    let mut conn = pool.get().await?;
    let won: Option<bool> = Claim { id: &secrets::hash(cookie) }.get_result(&mut *conn).await.optional()?;
    Ok(won.is_some())
}

pub async fn end(pool: &Pool, cookie: &str) -> anyhow::Result<()> {
    let mut conn = pool.get().await?;
    End { id: &secrets::hash(cookie) }.execute(&mut *conn).await?;
    Ok(())
}

prepared! {
    struct Find<'a> { id: &'a [u8] as Bytea } -> Bytea;
    "select sealed from sessions where id = ? and expires_at > now()"
}
prepared! {
    struct Begin<'a> { id: &'a [u8] as Bytea, sealed: &'a [u8] as Bytea, expires_at: &'a DateTime<Utc> as Timestamptz };
    "insert into sessions (id, sealed, expires_at) values (?, ?, ?)"
}
prepared! {
    struct Renew<'a> { sealed: &'a [u8] as Bytea, expires_at: &'a DateTime<Utc> as Timestamptz, id: &'a [u8] as Bytea };
    "update sessions set sealed = ?, expires_at = ?, renewing_until = null where id = ?"
}
prepared! {
    struct Claim<'a> { id: &'a [u8] as Bytea } -> Bool;
    "update sessions set renewing_until = now() + interval '30 seconds' \
     where id = ? and (renewing_until is null or renewing_until < now()) returning true"
}
prepared! {
    struct End<'a> { id: &'a [u8] as Bytea };
    "delete from sessions where id = ?"
}
