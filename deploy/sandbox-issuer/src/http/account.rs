//! Accounts for programs that have no browser: JSON in, JSON out, problems where it can't be.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use diesel_async::AsyncConnection;
use serde::Deserialize;
use serde_json::json;
use service_kit::http::{Json, Problem};
use shared_events::{EmailAddress, LineText};
use uuid::Uuid;

use super::token::Tokens;
use super::{AppState, address};
use crate::accounts::{self, Account, CUSTOMER, SignIn};
use crate::guessing::{self, TooMany, Tried};
use crate::keys;
use crate::passwords::Password;
use crate::sessions::{self, ACCOUNT_API, RefreshToken, Refreshed, Session};

service_kit::problem_codes! {
    /// The codes of problems with accounts.
    pub enum AccountCode {
        /// 409: there is an account with this address.
        EmailTaken = "email_taken",
        /// 422: the password is easily guessed.
        WeakPassword = "weak_password",
        /// 401: no such account, or another password.
        WrongCredentials = "wrong_credentials",
        /// 401: the refresh token was used before, and its session is ended.
        RefreshTokenReused = "refresh_token_reused",
        /// 401: the refresh token is not known, or its session has ended.
        RefreshTokenUnknown = "refresh_token_unknown",
    }
}

/// What a session by this API is for.
const SCOPE: &str = "profile email";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registration {
    email: EmailAddress,
    password: Password,
    name: LineText,
}

pub async fn register(
    state: Data<AppState>,
    request: HttpRequest,
    body: Json<Registration>,
) -> Result<HttpResponse, Problem> {
    let Registration { email, password, name } = body.into_inner();
    let email = accounts::known_as(&email);
    if let Some(why) = password.weakness(&[&email, name.as_str()]) {
        return Err(Problem::bad_input("password", why).code(AccountCode::WeakPassword));
    }
    let now = state.clock.now();
    {
        let mut conn = state.pool.get().await?;
        guessing::attempt(&mut conn, Tried::NewAccounts(address(&state, &request)), now).await?.map_err(too_many)?;
    }
    let account = Account {
        id: Uuid::now_v7().to_string(),
        email,
        name: name.into(),
        roles: vec![CUSTOMER.to_owned()],
        password: state.passwords.hash(password).await?,
        created_at: now,
    };
    let mut conn = state.pool.get().await?;
    if !accounts::insert(&mut conn, &account).await? {
        let taken = Problem::conflict("email: there is an account with this address already. Sign in instead.");
        return Err(taken.code(AccountCode::EmailTaken));
    }
    let Account { id, email, name, roles, .. } = account;
    Ok(HttpResponse::Created().json(json!({"id": id, "email": email, "name": name, "roles": roles})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    email: EmailAddress,
    password: Password,
}

pub async fn login(
    state: Data<AppState>,
    request: HttpRequest,
    body: Json<Credentials>,
) -> Result<HttpResponse, Problem> {
    let Credentials { email, password } = body.into_inner();
    let (from, now) = (address(&state, &request), state.clock.now());
    let account = match accounts::sign_in(&state.pool, &state.passwords, &email, password, from, now).await? {
        SignIn::Known(account) => account,
        SignIn::TooMany(wait) => return Err(too_many(wait)),
        SignIn::Wrong => {
            let wrong = Problem::unauthorized("The e-mail address or the password is wrong.", None);
            return Err(wrong.code(AccountCode::WrongCredentials));
        }
    };
    let mut conn = state.pool.get().await?;
    let begun = conn.transaction(async |conn| sessions::begin(conn, &account.id, ACCOUNT_API, SCOPE, now, now).await);
    let (session, refresh) = begun.await?;
    tokens(&state, &mut conn, &account, session, refresh).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    refresh_token: String,
}

pub async fn refresh(state: Data<AppState>, body: Json<Given>) -> Result<HttpResponse, Problem> {
    let given = body.into_inner().refresh_token;
    let mut conn = state.pool.get().await?;
    match sessions::refresh(&mut conn, &given, ACCOUNT_API, state.clock.now()).await? {
        Refreshed::Next(account, session, next) => tokens(&state, &mut conn, &account, session, next).await,
        Refreshed::Reused => {
            let why = "This refresh token was used before, so somebody else may have it. All that followed from the same login \
                       has ended: log in again.";
            Err(Problem::unauthorized(why, None).code(AccountCode::RefreshTokenReused))
        }
        Refreshed::Unknown => {
            let why = "This refresh token is not known, or its session has ended: log in again.";
            Err(Problem::unauthorized(why, None).code(AccountCode::RefreshTokenUnknown))
        }
    }
}

/// Ends the session. One that has ended is ended.
pub async fn logout(state: Data<AppState>, body: Json<Given>) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    sessions::end_of(&mut conn, &body.into_inner().refresh_token).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn tokens(
    state: &AppState,
    conn: &mut service_kit::pool::Conn,
    account: &Account,
    session: Session,
    refresh: RefreshToken,
) -> Result<HttpResponse, Problem> {
    let now = state.clock.now();
    let keys = keys::current(conn, now).await?;
    let key = keys.signer(now)?;
    let access = state.issuer.access_token(key, Some(account), ACCOUNT_API, &session.scope, now)?;
    Ok(Tokens::new(access, session.scope, Some(refresh)).answer())
}

fn too_many(wait: TooMany) -> Problem {
    Problem::too_many_requests(wait.seconds())
}
