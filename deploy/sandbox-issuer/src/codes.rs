//! Authorization codes (RFC 6749, 4.1): each is good once, for a minute, for whoever began the sign-in (RFC 7636).

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};

use crate::accounts::{self, Account};
use crate::failure::Failure;
use crate::schema::authorization_codes as codes;
use crate::secrets;
use crate::sessions::{self, RefreshToken, Session};

const LIFE: TimeDelta = TimeDelta::seconds(60);

/// What a code stands for.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = codes)]
pub struct Granted {
    hash: Vec<u8>,
    account_id: String,
    client_id: String,
    redirect_uri: String,
    scope: String,
    pub nonce: Option<String>,
    code_challenge: String,
    signed_in_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    session_id: Option<String>,
}

/// What a program asked for when it sent somebody to sign in.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    pub client: &'a str,
    pub redirect_uri: &'a str,
    pub scope: &'a str,
    pub nonce: Option<&'a str>,
    pub code_challenge: &'a str,
}

/// Makes a code for an account that has signed in now.
pub async fn grant(
    conn: &mut AsyncPgConnection,
    account: &Account,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> QueryResult<String> {
    let code = secrets::random();
    let granted = Granted {
        hash: secrets::sha256(&code),
        account_id: account.id.clone(),
        client_id: asked.client.to_owned(),
        redirect_uri: asked.redirect_uri.to_owned(),
        scope: asked.scope.to_owned(),
        nonce: asked.nonce.map(str::to_owned),
        code_challenge: asked.code_challenge.to_owned(),
        signed_in_at: now,
        expires_at: now + LIFE,
        session_id: None,
    };
    diesel::insert_into(codes::table).values(&granted).execute(conn).await?;
    Ok(code)
}

/// What a program says that brings a code.
#[derive(Clone, Copy)]
pub struct Redeeming<'a> {
    pub code: &'a str,
    pub client: &'a str,
    pub redirect_uri: &'a str,
    pub code_verifier: &'a str,
}

/// How that ends.
pub enum Redeemed {
    Session(Box<(Account, Session, RefreshToken, Granted)>),
    /// Why not.
    Refused(&'static str),
}

/// Begins the session that a code is for. A code that comes twice was stolen by one of the two: the session that it was good
/// for ends.
pub async fn redeem(
    conn: &mut AsyncPgConnection,
    redeeming: Redeeming<'_>,
    now: DateTime<Utc>,
) -> Result<Redeemed, Failure> {
    let hash = secrets::sha256(redeeming.code);
    conn.transaction(async |conn| {
        // Locked, so that of two who come at the same time one is the second.
        let found = codes::table.find(&hash).select(Granted::as_select()).for_update().first(conn).await.optional()?;
        let Some(granted) = found else { return Ok(Redeemed::Refused("the code is not known")) };
        if let Some(session) = &granted.session_id {
            sessions::end(conn, session).await?;
            tracing::warn!(account = granted.account_id, "an authorization code came twice: its session is ended");
            return Ok(Redeemed::Refused("the code was used before; what it was used for has ended"));
        }
        if let Some(why) = granted.refuses(redeeming, now) {
            return Ok(Redeemed::Refused(why));
        }
        let Some(account) = accounts::find(conn, &granted.account_id).await? else {
            return Ok(Redeemed::Refused("the account is gone"));
        };
        let (client, scope) = (&granted.client_id, &granted.scope);
        let (session, token) = sessions::begin(conn, &account.id, client, scope, granted.signed_in_at, now).await?;
        let used = codes::session_id.eq(&session.id);
        diesel::update(codes::table.find(&hash)).set(used).execute(conn).await?;
        Ok(Redeemed::Session(Box::new((account, session, token, granted))))
    })
    .await
}

impl Granted {
    fn refuses(&self, redeeming: Redeeming<'_>, now: DateTime<Utc>) -> Option<&'static str> {
        let challenge = secrets::s256(redeeming.code_verifier);
        if self.client_id != redeeming.client {
            Some("the code is another client's")
        } else if self.expires_at <= now {
            Some("the code has expired")
        } else if self.redirect_uri != redeeming.redirect_uri {
            Some("redirect_uri is not the one that the code was sent to")
        } else if !secrets::are_same(self.code_challenge.as_bytes(), challenge.as_bytes()) {
            Some("code_verifier does not fit the code_challenge")
        } else {
            None
        }
    }
}
