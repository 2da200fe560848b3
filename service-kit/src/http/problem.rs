//! The one shape of every HTTP error: RFC 9457, `application/problem+json`.
//!
//! The error policy by layer: a domain refuses with an enum of its own (`thiserror`). A command turns that, and the
//! errors of the database, into its own error enum. The HTTP layer turns that into a [`Problem`]. Internal errors are
//! logged here and never shown: no SQL, no debug text, no type name.
//!
//! Every problem and every wrong field has a [`Code`] for programs. The kit's own codes are here. A service declares
//! its further codes with [`problem_codes!`](crate::problem_codes), and its OpenAPI document lists them all.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use diesel::result::Error as DieselError;
use diesel_async::pooled_connection::deadpool::PoolError;
use serde::Serialize;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{headers, methods};
use crate::idempotency::KeyRefused;
use crate::pool::may_pass;

/// What went wrong, for programs. It stays the same when the texts for people change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Code(&'static str);

impl Code {
    /// For [`problem_codes!`](crate::problem_codes) alone.
    #[doc(hidden)]
    pub const fn declared(code: &'static str) -> Self {
        Self(code)
    }
}

/// Declares a service's own problem codes: an enum that converts into a [`Code`], and the list of its codes for the
/// OpenAPI document.
#[macro_export]
macro_rules! problem_codes {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All codes, as they occur in answers.
            pub const ALL: &'static [&'static str] = &[$($code),*];
        }

        impl From<$name> for $crate::http::Code {
            fn from(code: $name) -> Self {
                match code { $($name::$variant => Self::declared($code),)* }
            }
        }
    };
}

problem_codes! {
    /// The codes of problems that every service has.
    pub enum ProblemCode {
        /// 400: the request can't be read.
        Malformed = "malformed",
        /// 401: it isn't known who asks.
        Unauthorized = "unauthorized",
        /// 403: it is known who asks, and they may not.
        Forbidden = "forbidden",
        /// 403: a page of another site sent it.
        CrossSite = "cross_site",
        /// 404.
        NotFound = "not_found",
        /// 405.
        MethodNotAllowed = "method_not_allowed",
        /// 408: the body did not arrive in time.
        BodyTooSlow = "body_too_slow",
        /// 409, with nothing more specific to say.
        Conflict = "conflict",
        /// 409: a request with this `Idempotency-Key` is in progress.
        KeyInFlight = "key_in_flight",
        /// 412: the version in `If-Match` is not the current one.
        PreconditionFailed = "precondition_failed",
        /// 413.
        TooLarge = "too_large",
        /// 415.
        UnsupportedMediaType = "unsupported_media_type",
        /// 421: the service doesn't answer under this host's name.
        Misdirected = "misdirected",
        /// 422: several fields are wrong in different ways.
        BadInput = "bad_input",
        /// 422: this `Idempotency-Key` was used for another request.
        KeyReused = "key_reused",
        /// 428: `If-Match` is missing.
        PreconditionRequired = "precondition_required",
        /// 429: the client asks too often.
        TooManyRequests = "too_many_requests",
        /// 500.
        Internal = "internal",
        /// 503.
        Unavailable = "unavailable",
    }
}

problem_codes! {
    /// The codes of wrong fields that every service has.
    pub enum InputCode {
        /// A required field is missing.
        Missing = "missing",
        /// There is no field of this name.
        UnknownField = "unknown_field",
        /// The field occurs more than once.
        DuplicateField = "duplicate_field",
        /// The value doesn't fit.
        Invalid = "invalid",
    }
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its path, as in `lines[0].quantity`.
    #[schema(example = "lines[0].quantity")]
    pub field: String,
    /// What was given and what was expected.
    #[schema(example = "0 is not a quantity from 1 to 10000")]
    pub message: String,
    /// What is wrong, for programs.
    #[schema(value_type = String, example = "invalid")]
    pub code: Code,
}

impl FieldError {
    /// A field whose value doesn't fit.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into(), code: InputCode::Invalid.into() }
    }

    /// Sets a more specific code.
    #[must_use]
    pub fn code(mut self, code: impl Into<Code>) -> Self {
        self.code = code.into();
        self
    }
}

/// An error answer. It is boxed so that a `Result` with it stays small.
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

/// An error, as RFC 9457 describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Content {
    /// The kind of problem.
    #[serde(rename = "type")]
    #[schema(example = "urn:problem:bad-input")]
    kind: String,
    /// What went wrong, for programs.
    #[schema(value_type = String, example = "bad_input")]
    code: Code,
    /// The kind of problem, for people.
    #[schema(example = "Bad input")]
    title: &'static str,
    /// The status of the answer.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16, example = 422)]
    status: StatusCode,
    /// What is wrong in this case.
    #[schema(example = "lines[0].quantity: 0 is not a quantity from 1 to 10000")]
    detail: String,
    /// The path of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "/api/v1/orders")]
    instance: Option<String>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
    /// What `WWW-Authenticate` says, or `Allow`.
    #[serde(skip)]
    header: Option<(HeaderName, String)>,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    fn new(status: StatusCode, kind: &str, code: ProblemCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Content {
            kind: format!("urn:problem:{kind}"),
            code: code.into(),
            title,
            status,
            detail: detail.into(),
            instance: None,
            errors: Vec::new(),
            retry_after_seconds: None,
            header: None,
        }))
    }

    /// 400: the request can't be read at all.
    pub fn malformed(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::BAD_REQUEST, ProblemCode::Malformed);
        Self::new(status, "malformed", code, "The request can't be read", detail)
    }

    /// 401: it isn't known who asks. `error` is that of RFC 6750, 3.1; none if no token was sent.
    pub fn unauthorized(detail: impl Into<String>, error: Option<&'static str>) -> Self {
        let (status, code, detail) = (StatusCode::UNAUTHORIZED, ProblemCode::Unauthorized, detail.into());
        let challenge = match error {
            Some(error) => format!("Bearer error=\"{error}\", error_description=\"{detail}\""),
            None => "Bearer".to_owned(),
        };
        let mut problem = Self::new(status, "unauthorized", code, "It is not known who asks", detail);
        problem.0.header = Some((WWW_AUTHENTICATE, challenge));
        problem
    }

    /// 403: it is known who asks, and they may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", ProblemCode::Forbidden, "Not allowed", detail)
    }

    /// 403: a page of another site sent the request.
    pub fn cross_site(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross-site", ProblemCode::CrossSite, "Not from there", detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", ProblemCode::NotFound, "Not found", detail)
    }

    /// 405.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::METHOD_NOT_ALLOWED, ProblemCode::MethodNotAllowed);
        Self::new(status, "method-not-allowed", code, "Method not allowed", detail)
    }

    /// Says with a 405 which methods are allowed.
    pub(crate) fn allowing(mut self, methods: &str) -> Self {
        let methods = methods::allowed(HeaderValue::from_str(methods).ok().as_ref());
        self.0.header = Some((ALLOW, methods));
        self
    }

    /// 408: the body did not arrive in time.
    pub fn too_slow(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "too-slow", ProblemCode::BodyTooSlow, "Too slow", detail)
    }

    /// 409: the current state doesn't allow the request.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", ProblemCode::Conflict, "Not possible now", detail)
    }

    /// 409: a request with the same `Idempotency-Key` is in progress.
    pub fn key_in_flight() -> Self {
        Self::conflict("A request with this Idempotency-Key is in progress. Send it again to get its answer.")
            .code(ProblemCode::KeyInFlight)
    }

    /// 412: the resource has changed since the client read it.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::PRECONDITION_FAILED, ProblemCode::PreconditionFailed);
        Self::new(status, "precondition-failed", code, "It has changed meanwhile", detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", ProblemCode::TooLarge, "Too large", detail)
    }

    /// 415.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, ProblemCode::UnsupportedMediaType);
        Self::new(status, "unsupported-media-type", code, "Unsupported media type", detail)
    }

    /// 421: the service doesn't answer under this host's name.
    pub fn misdirected(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::MISDIRECTED_REQUEST, ProblemCode::Misdirected);
        Self::new(status, "misdirected", code, "Another host is asked for", detail)
    }

    /// 422 with one field.
    pub fn bad_input(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::bad_fields(vec![FieldError::new(field, message)])
    }

    /// 422 with several fields. If all fields have the same specific code, it becomes the problem's code.
    pub fn bad_fields(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect::<Vec<_>>().join("; ");
        let (status, code) = (StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::BadInput);
        let mut problem = Self::new(status, "bad-input", code, "Bad input", detail);
        if let Some(first) = errors.first()
            && !InputCode::ALL.contains(&first.code.0)
            && errors.iter().all(|error| error.code == first.code)
        {
            problem.0.code = first.code;
        }
        problem.0.errors = errors;
        problem
    }

    /// 422: the `Idempotency-Key` belongs to another request.
    pub fn key_reused() -> Self {
        Self::bad_input("Idempotency-Key", "it was used for another request; take a new one for this")
            .code(ProblemCode::KeyReused)
    }

    /// 428: the client must send `If-Match`.
    pub fn precondition_required(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::PRECONDITION_REQUIRED, ProblemCode::PreconditionRequired);
        Self::new(status, "precondition-required", code, "If-Match is missing", detail)
    }

    /// 429: the client asks too often, and may ask again after these seconds.
    pub fn too_many_requests(seconds: u32) -> Self {
        let (status, code) = (StatusCode::TOO_MANY_REQUESTS, ProblemCode::TooManyRequests);
        let detail = format!("This was asked for too often; it may be asked for again in {seconds} s.");
        let mut problem = Self::new(status, "too-many-requests", code, "Too many requests", detail);
        problem.0.retry_after_seconds = Some(seconds);
        problem
    }

    /// 503: a temporary failure, with `Retry-After` of a second.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let (status, code) = (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable);
        let mut problem = Self::new(status, "unavailable", code, "Not available now", detail);
        problem.0.retry_after_seconds = Some(1);
        problem
    }

    /// 500: the cause is logged but not shown.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        let (status, code) = (StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal);
        Self::new(status, "internal", code, "Something went wrong here", "The error was logged.")
    }

    /// Sets a more specific code, also on each wrong field.
    #[must_use]
    pub fn code(mut self, code: impl Into<Code>) -> Self {
        self.0.code = code.into();
        for error in &mut self.0.errors {
            error.code = self.0.code;
        }
        self
    }

    /// The fields that are wrong.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// Sets the path at which the problem arose, unless it is set.
    #[must_use]
    pub fn at(self, request: &HttpRequest) -> Self {
        self.at_path(request.path())
    }

    /// Like [`Problem::at`], where only the path is known.
    #[must_use]
    pub fn at_path(mut self, path: impl Into<String>) -> Self {
        self.0.instance.get_or_insert_with(|| path.into());
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
        if let Some((name, value)) = &self.0.header {
            response.insert_header((name, value.as_str()));
        }
        let mut response = response.json(self);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Here too, since an answer that is given up on doesn't pass the middleware.
        headers::careful(response.headers_mut());
        headers::not_kept(response.headers_mut());
        // The middleware reads this copy to add the request's path.
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl From<KeyRefused> for Problem {
    fn from(refused: KeyRefused) -> Self {
        match refused {
            KeyRefused::OtherRequest => Self::key_reused(),
            KeyRefused::InFlight => Self::key_in_flight(),
        }
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
