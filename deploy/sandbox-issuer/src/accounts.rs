//! People's accounts.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::Pool;
use shared_events::EmailAddress;

use crate::failure::Failure;
use crate::guessing::{self, TooMany, Tried};
use crate::passwords::{Password, Passwords};
use crate::schema::{accounts, authorization_codes, forgotten_accounts, sessions};

/// The role of whoever registers.
pub const CUSTOMER: &str = "customer";

/// Somebody who can sign in. `Debug` shows only the id.
#[derive(Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = accounts)]
pub struct Account {
    pub id: String,
    pub email: String,
    pub name: String,
    pub roles: Vec<String>,
    /// A PHC string.
    pub password: String,
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Who is there from the start; the password of each is `sandbox-` and the name in small letters.
const PEOPLE: [(&str, &str, &[&str]); 5] = [
    ("c-1001", "Ann", &[CUSTOMER]),
    ("c-1002", "Ben", &[CUSTOMER]),
    ("s-2001", "Sam", &["staff"]),
    ("o-3001", "Olga", &["operator"]),
    // as in a shop that one person runs
    ("a-4001", "Ada", &[CUSTOMER, "staff", "operator"]),
];

/// Makes the accounts that are there from the start, where they are not there yet.
pub async fn welcome(conn: &mut AsyncPgConnection, passwords: &Passwords, now: DateTime<Utc>) -> anyhow::Result<()> {
    for (id, name, roles) in PEOPLE {
        if find(conn, id).await?.is_some() || was_deleted(conn, id).await? {
            continue;
        }
        let small = name.to_lowercase();
        let account = Account {
            id: id.to_owned(),
            email: format!("{small}@example.com"),
            name: name.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            password: passwords.hash(format!("sandbox-{small}").into()).await?,
            created_at: now,
        };
        insert(conn, &account).await?;
    }
    Ok(())
}

async fn was_deleted(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(forgotten_accounts::table.find(id))).get_result(conn).await
}

/// What went with an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// 1, or 0 if there was none.
    pub accounts: usize,
    pub sessions: usize,
}

/// Deletes an account and all that hangs on it, and keeps its id, so that it isn't made again.
pub async fn delete(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Deleted> {
    conn.transaction(async |conn| {
        let account = accounts::table.find(id).select(Account::as_select()).for_update();
        let Some(account) = account.first(conn).await.optional()? else { return Ok(Deleted::default()) };
        let codes = authorization_codes::table.filter(authorization_codes::account_id.eq(id));
        diesel::delete(codes).execute(conn).await?;
        let sessions = diesel::delete(sessions::table.filter(sessions::account_id.eq(id))).execute(conn).await?;
        guessing::succeeded(conn, Tried::Account(&account.email)).await?;
        let accounts = diesel::delete(accounts::table.find(id)).execute(conn).await?;
        let kept = diesel::insert_into(forgotten_accounts::table).values(forgotten_accounts::id.eq(id));
        kept.on_conflict_do_nothing().execute(conn).await?;
        Ok(Deleted { accounts, sessions })
    })
    .await
}

/// The address by which an account is found, however it was typed.
pub fn known_as(email: &EmailAddress) -> String {
    email.as_str().to_lowercase()
}

pub async fn find(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<Option<Account>> {
    accounts::table.find(id).select(Account::as_select()).first(conn).await.optional()
}

async fn find_by_email(conn: &mut AsyncPgConnection, email: &str) -> QueryResult<Option<Account>> {
    accounts::table.filter(accounts::email.eq(email)).select(Account::as_select()).first(conn).await.optional()
}

/// False if there is an account with this address.
pub async fn insert(conn: &mut AsyncPgConnection, account: &Account) -> QueryResult<bool> {
    let inserted = diesel::insert_into(accounts::table).values(account).on_conflict_do_nothing().execute(conn).await?;
    Ok(inserted == 1)
}

/// How an attempt to sign in ends.
#[derive(Debug)]
pub enum SignIn {
    Known(Account),
    /// There is no such account, or it has another password: nobody is told which.
    Wrong,
    TooMany(TooMany),
}

/// Checks a password. No connection is held while it is hashed.
pub async fn sign_in(
    pool: &Pool,
    passwords: &Passwords,
    email: &EmailAddress,
    password: Password,
    from: IpAddr,
    now: DateTime<Utc>,
) -> Result<SignIn, Failure> {
    let email = known_as(email);
    let tries = [Tried::From(from), Tried::Account(&email)];
    let account = {
        let mut conn = pool.get().await?;
        for tried in tries {
            if let Err(too_many) = guessing::attempt(&mut conn, tried, now).await? {
                return Ok(SignIn::TooMany(too_many));
            }
        }
        find_by_email(&mut conn, &email).await?
    };
    let hash = account.as_ref().map(|account| account.password.clone());
    let is_right = passwords.is_right(hash, password).await?;
    let Some(account) = account.filter(|_| is_right) else { return Ok(SignIn::Wrong) };
    let mut conn = pool.get().await?;
    for tried in tries {
        guessing::succeeded(&mut conn, tried).await?;
    }
    Ok(SignIn::Known(account))
}
