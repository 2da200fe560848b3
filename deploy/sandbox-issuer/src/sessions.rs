//! Sessions: a sign-in and the refresh tokens that follow from it. Each token is good once, for the next one; if one comes
//! again, two have it, of whom one is a thief, and the session ends for both (RFC 9700, 4.14.2).

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::accounts::{self, Account};
use crate::schema::sessions;
use crate::secrets;

/// After this time one has to sign in again.
const LIFE: TimeDelta = TimeDelta::days(30);

/// How many sessions an account has; the oldest ends for another one.
const MOST: i64 = 10;

/// The client of whoever signs in by `/api/v1/account/auth/login`.
pub const ACCOUNT_API: &str = "account-api";

#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = sessions)]
pub struct Session {
    pub id: String,
    pub account_id: String,
    pub client_id: String,
    pub scope: String,
    refresh_hash: Vec<u8>,
    pub signed_in_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}

/// What a program gets for the next time. `Debug` hides it.
pub struct RefreshToken(pub String);

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(hidden)")
    }
}

impl RefreshToken {
    /// The session that it belongs to, and what only whoever was given it knows.
    fn new(session: &str, secret: &str) -> Self {
        Self(format!("{session}.{secret}"))
    }

    /// The session's id and the hash of the rest.
    fn read(text: &str) -> Option<(&str, Vec<u8>)> {
        let (session, secret) = text.split_once('.')?;
        let fits = secrets::is_like_random(session) && secrets::is_like_random(secret);
        fits.then(|| (session, secrets::sha256(secret)))
    }
}

/// Begins a session, in a transaction.
pub async fn begin(
    conn: &mut AsyncPgConnection,
    account: &str,
    client: &str,
    scope: &str,
    signed_in_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> QueryResult<(Session, RefreshToken)> {
    let of_account = sessions::table.filter(sessions::account_id.eq(account));
    let newest_first = of_account.order(sessions::signed_in_at.desc()).select(sessions::id);
    let too_many: Vec<String> = newest_first.offset(MOST - 1).load(conn).await?;
    diesel::delete(sessions::table.filter(sessions::id.eq_any(too_many))).execute(conn).await?;
    let (id, secret) = (secrets::random(), secrets::random());
    let session = Session {
        refresh_hash: secrets::sha256(&secret),
        account_id: account.to_owned(),
        client_id: client.to_owned(),
        scope: scope.to_owned(),
        signed_in_at,
        expires_at: now + LIFE,
        id,
    };
    diesel::insert_into(sessions::table).values(&session).execute(conn).await?;
    let token = RefreshToken::new(&session.id, &secret);
    Ok((session, token))
}

/// How a refresh ends.
#[derive(Debug)]
pub enum Refreshed {
    /// The token is good, and the next one is this.
    Next(Box<Account>, Session, RefreshToken),
    /// It was used before: the session is ended.
    Reused,
    /// There is no such session any more, or it is another client's.
    Unknown,
}

/// Takes a refresh token for the next one.
pub async fn refresh(
    conn: &mut AsyncPgConnection,
    token: &str,
    client: &str,
    now: DateTime<Utc>,
) -> QueryResult<Refreshed> {
    let Some((id, hash)) = RefreshToken::read(token) else { return Ok(Refreshed::Unknown) };
    conn.transaction(async |conn| {
        // Locked, so that of two who come at the same time one is the second.
        let found = sessions::table.find(id).select(Session::as_select()).for_update().first(conn).await.optional()?;
        let Some(session) = found.filter(|session| session.client_id == client && session.expires_at > now) else {
            return Ok(Refreshed::Unknown);
        };
        if !secrets::are_same(&session.refresh_hash, &hash) {
            end(conn, id).await?;
            tracing::warn!(account = session.account_id, "a refresh token came twice: its session is ended");
            return Ok(Refreshed::Reused);
        }
        let secret = secrets::random();
        let next = sessions::refresh_hash.eq(secrets::sha256(&secret));
        diesel::update(sessions::table.find(id)).set(next).execute(conn).await?;
        let Some(account) = accounts::find(conn, &session.account_id).await? else { return Ok(Refreshed::Unknown) };
        Ok(Refreshed::Next(Box::new(account), session, RefreshToken::new(id, &secret)))
    })
    .await
}

/// Ends a session by its id.
pub async fn end(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<()> {
    diesel::delete(sessions::table.find(id)).execute(conn).await.map(drop)
}

/// Ends the session of a refresh token, if it has one. An old token will do, too: its owner wants it to end.
pub async fn end_of(conn: &mut AsyncPgConnection, token: &str) -> QueryResult<()> {
    match RefreshToken::read(token) {
        Some((id, _)) => end(conn, id).await,
        None => Ok(()),
    }
}
