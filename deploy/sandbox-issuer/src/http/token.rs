//! The token endpoint (RFC 6749, 3.2).

use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use service_kit::http::the_one;

use super::form::Form;
use super::oauth_error::OAuthError;
use super::{AppState, address};
use crate::clients::Client;
use crate::codes::{self, Redeemed, Redeeming};
use crate::failure::Failure;
use crate::guessing::{self, Tried};
use crate::sessions::{self, RefreshToken, Refreshed};
use crate::{keys, tokens};

/// RFC 6749, 5.1.
#[derive(Serialize)]
pub struct Tokens {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

impl Tokens {
    pub fn new(access_token: String, scope: String, refresh: Option<RefreshToken>) -> Self {
        Self {
            access_token,
            token_type: "Bearer",
            expires_in: tokens::LIFE.num_seconds(),
            scope,
            refresh_token: refresh.map(|token| token.0),
            id_token: None,
        }
    }

    /// The answer, which no cache may keep.
    pub fn answer(&self) -> HttpResponse {
        HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(self)
    }
}

pub async fn token(state: Data<AppState>, request: HttpRequest, body: Bytes) -> Result<HttpResponse, OAuthError> {
    let form = Form::body(&request, &body).map_err(OAuthError::invalid_request)?;
    let grant = form.required("grant_type").map_err(OAuthError::invalid_request)?;
    let client = authenticated(&state, &request, &form).await?;
    let issued = match (grant, client.is_machine()) {
        ("client_credentials", true) => of_machine(&state, client, &form).await?,
        ("authorization_code", false) => of_code(&state, client, &form).await?,
        ("refresh_token", false) => of_refresh_token(&state, client, &form).await?,
        ("client_credentials" | "authorization_code" | "refresh_token", _) => {
            return Err(OAuthError::unauthorized_client(format!("{grant} is not for {}", client.id)));
        }
        _ => {
            let expected = "expected authorization_code, client_credentials or refresh_token";
            return Err(OAuthError::unsupported_grant_type(expected));
        }
    };
    Ok(issued.answer())
}

async fn of_machine(state: &AppState, client: &Client, form: &Form) -> Result<Tokens, OAuthError> {
    let scope = client.scope(form.get("scope")).map_err(OAuthError::invalid_scope)?;
    let now = state.clock.now();
    let mut conn = state.pool.get().await.map_err(Failure::from)?;
    let keys = keys::current(&mut conn, now).await?;
    let token = state.issuer.access_token(keys.signer(now)?, None, client.id, &scope, now)?;
    Ok(Tokens::new(token, scope, None))
}

async fn of_code(state: &AppState, client: &Client, form: &Form) -> Result<Tokens, OAuthError> {
    let required = |name| form.required(name).map_err(OAuthError::invalid_request);
    let redeeming = Redeeming {
        code: required("code")?,
        client: client.id,
        redirect_uri: required("redirect_uri")?,
        code_verifier: required("code_verifier")?,
    };
    if !(43..=128).contains(&redeeming.code_verifier.len()) {
        return Err(OAuthError::invalid_request("code_verifier has 43 to 128 characters"));
    }
    let now = state.clock.now();
    let mut conn = state.pool.get().await.map_err(Failure::from)?;
    let keys = keys::current(&mut conn, now).await?;
    let (account, session, refresh, granted) = match codes::redeem(&mut conn, redeeming, now).await? {
        Redeemed::Session(session) => *session,
        Redeemed::Refused(why) => return Err(OAuthError::invalid_grant(why)),
    };
    let (key, nonce) = (keys.signer(now)?, granted.nonce.as_deref());
    let access = state.issuer.access_token(key, Some(&account), client.id, &session.scope, now)?;
    let is_open_id = session.scope.split(' ').any(|scope| scope == "openid");
    let id_token = is_open_id
        .then(|| state.issuer.id_token(key, &account, client.id, nonce, session.signed_in_at, now))
        .transpose()?;
    Ok(Tokens { id_token, ..Tokens::new(access, session.scope, Some(refresh)) })
}

async fn of_refresh_token(state: &AppState, client: &Client, form: &Form) -> Result<Tokens, OAuthError> {
    let token = form.required("refresh_token").map_err(OAuthError::invalid_request)?;
    let narrowed = form.get("scope").map(|scope| client.scope(Some(scope))).transpose();
    let narrowed = narrowed.map_err(OAuthError::invalid_scope)?;
    let now = state.clock.now();
    let mut conn = state.pool.get().await.map_err(Failure::from)?;
    let keys = keys::current(&mut conn, now).await?;
    let refreshed = sessions::refresh(&mut conn, token, client.id, now).await.map_err(Failure::from)?;
    let (account, session, next) = match refreshed {
        Refreshed::Next(account, session, next) => (account, session, next),
        Refreshed::Reused => return Err(OAuthError::invalid_grant("it was used before; its session has ended")),
        Refreshed::Unknown => return Err(OAuthError::invalid_grant("it is not known, or its session has ended")),
    };
    let is_narrowed = |scope: &&str| narrowed.as_ref().is_none_or(|asked| asked.split(' ').any(|one| one == *scope));
    let scope = session.scope.split(' ').filter(is_narrowed).collect::<Vec<_>>().join(" ");
    let access = state.issuer.access_token(keys.signer(now)?, Some(&account), client.id, &scope, now)?;
    Ok(Tokens::new(access, scope, Some(next)))
}

/// The client that asks, if it has proved who it is (RFC 6749, 2.3.1).
pub(super) async fn authenticated(
    state: &AppState,
    request: &HttpRequest,
    form: &Form,
) -> Result<&'static Client, OAuthError> {
    let basic = basic_credentials(request)?;
    let (id, secret) = match (basic, form.get("client_secret")) {
        (Some(_), Some(_)) => return Err(OAuthError::invalid_request("the client's secret is given in two places")),
        (Some((id, secret)), None) => (id, Some(secret)),
        (None, secret) => {
            let id = form.required("client_id").map_err(OAuthError::invalid_request)?;
            (id.to_owned(), secret.map(str::to_owned))
        }
    };
    if form.get("client_id").is_some_and(|other| other != id) {
        return Err(OAuthError::invalid_request("client_id is another one than the header's"));
    }
    let client = Client::named(&id);
    let Some(secret) = secret else {
        // Whoever has no secret proves by the code, or the refresh token, that it is the same as before.
        return client.filter(|client| !client.is_machine()).ok_or_else(OAuthError::invalid_client);
    };
    let tried = Tried::From(address(state, request));
    let mut conn = state.pool.get().await.map_err(Failure::from)?;
    guessing::attempt(&mut conn, tried, state.clock.now()).await.map_err(Failure::from)??;
    let client = client.filter(|client| client.has_secret(&secret)).ok_or_else(OAuthError::invalid_client)?;
    guessing::succeeded(&mut conn, tried).await.map_err(Failure::from)?;
    Ok(client)
}

fn basic_credentials(request: &HttpRequest) -> Result<Option<(String, String)>, OAuthError> {
    let unfit =
        || OAuthError::invalid_request("Authorization must be one header: Basic, and the client's id and secret");
    let Some(header) = the_one(request, AUTHORIZATION.as_str()).map_err(|_| unfit())? else { return Ok(None) };
    let credentials = header.to_str().ok().and_then(|text| text.split_once(' '));
    let encoded = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic")).map(|(_, encoded)| encoded);
    let decoded = encoded.and_then(|encoded| String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok());
    let (id, secret) = decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(unfit)?;
    Ok(Some((form_decoded(id), form_decoded(secret))))
}

/// Both are encoded like a form's values before they are put together.
fn form_decoded(text: &str) -> String {
    // a `&` or `=` would be encoded, so all of it is one name
    let mut parts = url::form_urlencoded::parse(text.as_bytes());
    parts.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}
