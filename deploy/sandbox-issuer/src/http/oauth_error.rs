//! Errors as OAuth has them (RFC 6749, 5.2).

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::failure::Failure;
use crate::guessing::TooMany;

#[derive(Debug, thiserror::Error)]
#[error("{error}: {description}")]
pub struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after_seconds: Option<u32>,
}

impl OAuthError {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self { status, error, description: description.into(), retry_after_seconds: None }
    }

    pub fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub fn invalid_client() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", "the client is not known, or its secret is wrong")
    }

    pub fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    pub fn invalid_scope(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    pub fn unauthorized_client(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unauthorized_client", description)
    }

    /// RFC 6750, 3.1.
    pub fn insufficient_scope(description: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "insufficient_scope", description)
    }

    pub fn unsupported_grant_type(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", description)
    }
}

impl From<TooMany> for OAuthError {
    fn from(too_many: TooMany) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", "too many attempts");
        Self { retry_after_seconds: Some(too_many.seconds()), ..error }
    }
}

impl From<Failure> for OAuthError {
    fn from(failure: Failure) -> Self {
        tracing::error!(error = %failure, "a request failed");
        if failure.may_pass() {
            let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "try again");
            Self { retry_after_seconds: Some(1), ..error }
        } else {
            Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "the error was logged")
        }
    }
}

impl ResponseError for OAuthError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        response.insert_header((CACHE_CONTROL, "no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"sandbox-issuer\""));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        response.json(json!({"error": self.error, "error_description": self.description}))
    }
}
