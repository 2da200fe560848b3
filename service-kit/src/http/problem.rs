//! The one shape of every error that leaves over HTTP: RFC 9457, `application/problem+json`.
//!
//! The policy by layer: a domain refuses with an enum of its own (`thiserror`); a command turns that and what the
//! database says into its error enum; the HTTP layer turns that into a [`Problem`]. What went wrong inside is logged
//! here and never shown: no SQL, no debug text, no name of a type.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use diesel::result::Error as DieselError;
use diesel_async::pooled_connection::deadpool::PoolError;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::pool::may_pass;

/// One field that was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its path, as in `lines[0].quantity`.
    #[schema(example = "lines[0].quantity")]
    pub field: String,
    /// What was given and what was expected.
    #[schema(example = "0 is not a quantity from 1 to 10000")]
    pub message: String,
}

/// An error answer. Boxed, so that a `Result` with it stays small.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Content>);

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Content::schema()
    }
}

impl ToSchema for Problem {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Content::schemas(schemas);
    }
}

/// What went wrong: RFC 9457.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Content {
    /// What kind of problem, for programs.
    #[serde(rename = "type")]
    #[schema(example = "urn:problem:bad-input")]
    kind: String,
    /// The same for people.
    #[schema(example = "Bad input")]
    title: &'static str,
    /// The status of the answer.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16, example = 422)]
    status: StatusCode,
    /// What was wrong this time.
    #[schema(example = "lines[0].quantity: 0 is not a quantity from 1 to 10000")]
    detail: String,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "/api/v1/orders")]
    instance: Option<String>,
    /// Each field that was wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(status: StatusCode, kind: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            kind: format!("urn:problem:{kind}"),
            title,
            status,
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            retry_after_seconds: None,
        }))
    }

    /// 400: the request can't be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "The request can't be read", detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail)
    }

    /// 405.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed", detail)
    }

    /// 409: the state of the thing doesn't allow it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "Not possible now", detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large", detail)
    }

    /// 415.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type", detail)
    }

    /// 422 with one field.
    pub fn bad_input(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::bad_fields(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// 422 with several fields.
    pub fn bad_fields(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect::<Vec<_>>().join("; ");
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-input", "Bad input", detail);
        problem.0.errors = errors;
        problem
    }

    /// 503: it will pass; come back in a second.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available now", detail);
        problem.0.retry_after_seconds = Some(1);
        problem
    }

    /// 500: what happened is logged, not shown.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here", "The error was logged.")
    }

    /// The fields that were wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Says where it happened, unless it says so already.
    #[must_use]
    pub fn at(mut self, request: &HttpRequest) -> Self {
        self.0.instance.get_or_insert_with(|| request.path().to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.title, self.0.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.0.status);
        if let Some(seconds) = self.0.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        let mut response = response.json(self);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Kept beside the answer, so that the middleware can fill in where it happened.
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        tracing::warn!(error = %error, "no database connection for a request");
        Self::unavailable("The database can't be reached, or all connections are busy.")
    }
}

impl From<DieselError> for Problem {
    fn from(error: DieselError) -> Self {
        if may_pass(&error) {
            tracing::warn!(error = %error, "the database failed a request for now");
            Self::unavailable("The database can't do this now.")
        } else {
            Self::internal(error)
        }
    }
}
