//! Deletes people's accounts, for the program that forgets customers.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::AppState;
use super::form::Form;
use super::oauth_error::OAuthError;
use super::token::authenticated;
use crate::accounts::{self, Deleted};
use crate::failure::Failure;

/// Deletes an account, its sessions and its codes. Whoever asks is a client that may, by its id and secret. An account that
/// isn't there, or not any more, is none.
pub async fn delete(state: Data<AppState>, request: HttpRequest, id: Path<String>) -> Result<HttpResponse, OAuthError> {
    if !request.headers().contains_key(AUTHORIZATION) {
        return Err(OAuthError::invalid_client());
    }
    let client = authenticated(&state, &request, &Form::default()).await?;
    if !client.may_delete_accounts() {
        return Err(OAuthError::insufficient_scope("this client may not delete accounts"));
    }
    let mut conn = state.pool.get().await.map_err(Failure::from)?;
    let Deleted { accounts, sessions } = accounts::delete(&mut conn, &id).await.map_err(Failure::from)?;
    Ok(HttpResponse::Ok().json(json!({"accounts": accounts, "sessions": sessions})))
}
