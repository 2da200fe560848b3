//! Stripe's error objects: <https://docs.stripe.com/api/errors>.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::{Value, json};

/// What a caller is told when a request did not do what it asked for.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{status} {kind}: {message}")]
pub struct StripeError {
    status: u16,
    kind: &'static str,
    message: String,
    code: Option<&'static str>,
    decline_code: Option<&'static str>,
    param: Option<String>,
    payment_intent: Option<Box<Value>>,
}

impl StripeError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        let (code, decline_code, param, payment_intent) = (None, None, None, None);
        Self { status, kind, message: message.into(), code, decline_code, param, payment_intent }
    }

    /// A parameter is missing, unknown or not what it should be.
    pub fn parameter(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        let error = Self::new(400, "invalid_request_error", message);
        Self { code: Some(code), param: Some(param.to_owned()), ..error }
    }

    /// What is asked for can't be done as things stand.
    pub fn state(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(400, "invalid_request_error", message) }
    }

    pub fn missing(what: &str, id: &str) -> Self {
        let error = Self::new(404, "invalid_request_error", format!("No such {what}: '{id}'"));
        Self { code: Some("resource_missing"), ..error }
    }

    pub fn declined(decline_code: &'static str, message: &str) -> Self {
        let error = Self::new(402, "card_error", message);
        Self { code: Some("card_declined"), decline_code: Some(decline_code), ..error }
    }

    /// The card can't be used so.
    pub fn card(code: &'static str, message: &str) -> Self {
        Self { code: Some(code), ..Self::new(402, "card_error", message) }
    }

    /// The same card error, with the intent as it is after it.
    pub fn with_intent(self, intent: Value) -> Self {
        Self { payment_intent: Some(Box::new(intent)), ..self }
    }

    /// No key was sent.
    pub fn unauthorised() -> Self {
        let message = "You did not provide an API key: send it as 'Authorization: Bearer sk_test_...'.";
        Self::new(401, "invalid_request_error", message)
    }

    /// The idempotency key is none that can be kept.
    pub fn bad_key() -> Self {
        let message = "An idempotency key is printable ASCII of 255 characters at most.";
        Self::new(400, "invalid_request_error", message)
    }

    /// Which of several is meant can't be told.
    pub fn header_twice(header: &str) -> Self {
        Self::parameter(header, "parameter_invalid", format!("{header} is given twice; expected one."))
    }

    /// The idempotency key was used for another request.
    pub fn other_parameters(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same endpoint and parameters they were first used \
             with. Try using a key other than '{key}'."
        );
        Self::new(400, "idempotency_error", message)
    }

    pub fn key_in_use() -> Self {
        let error = Self::new(409, "idempotency_error", "Another request with this key is in progress.");
        Self { code: Some("idempotency_key_in_use"), ..error }
    }

    pub fn too_large() -> Self {
        Self::new(413, "invalid_request_error", "The body is too large.")
    }

    pub fn internal() -> Self {
        Self::new(500, "api_error", "The sandbox gateway failed; its log says why.")
    }

    /// The gateway fails because it was told to.
    pub fn switched() -> Self {
        Self::new(500, "api_error", "The sandbox gateway fails at this, as its faults or the method have it.")
    }

    /// Whether the request got past the check of its parameters, so that its answer is kept under its key.
    pub fn was_executed(&self) -> bool {
        self.param.is_none()
    }

    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The error as `last_payment_error` shows it.
    pub fn object(&self) -> Value {
        let mut error = json!({"type": self.kind, "message": self.message});
        let texts = [("code", self.code), ("decline_code", self.decline_code), ("param", self.param.as_deref())];
        for (name, text) in texts {
            if let Some(text) = text {
                error[name] = json!(text);
            }
        }
        if let Some(intent) = &self.payment_intent {
            error["payment_intent"] = Value::clone(intent);
        }
        error
    }

    pub fn body(&self) -> Value {
        json!({ "error": self.object() })
    }
}

impl From<diesel::result::Error> for StripeError {
    fn from(error: diesel::result::Error) -> Self {
        tracing::error!(%error, "the journal's database refused");
        Self::internal()
    }
}

impl ResponseError for StripeError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(self.body())
    }
}
