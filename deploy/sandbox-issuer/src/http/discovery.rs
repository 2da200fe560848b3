//! What everybody may know: the discovery document and the keys.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use serde_json::json;
use service_kit::http::{EmptyBody, Problem};

use super::AppState;
use crate::failure::Failure;
use crate::{clients, keys};

pub const WARNING: &str =
    "This issuer is for trying out: everybody knows its passwords and secrets. Use a real one in production.";

/// OpenID Connect Discovery 1.0, 3.
pub async fn configuration(state: Data<AppState>) -> HttpResponse {
    let issuer = state.issuer.name();
    HttpResponse::Ok().json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "scopes_supported": clients::all_scopes(),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": ["iss", "aud", "sub", "iat", "exp", "auth_time", "nonce", "email", "name", "roles", "scope"],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "sandbox": WARNING,
    }))
}

/// The keys that a valid token may be signed with, and the next one.
pub async fn jwks(state: Data<AppState>) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let keys = keys::current(&mut conn, state.clock.now()).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=30")).json(keys.jwks()))
}

/// Makes the next key, and says when it signs.
pub async fn rotate(state: Data<AppState>, _: EmptyBody) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let keys = keys::rotate(&mut conn, state.clock.now()).await?;
    let newest = keys.newest().ok_or_else(|| Failure::internal("there is no signing key"))?;
    Ok(HttpResponse::Ok().json(json!({"kid": newest.id, "signs_from": newest.signs_from})))
}
