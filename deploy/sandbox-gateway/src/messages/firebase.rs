//! Firebase Cloud Messaging's HTTP v1 API: <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send>.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

use super::kept::{NewMessage, keep};
use crate::faults::Failure;
use crate::http::{AppState, connection, troubled};

/// A device whose token begins so is gone.
const UNREGISTERED: &str = "unregistered";
/// A token that begins so is none.
const INVALID: &str = "invalid";

#[derive(Deserialize)]
struct Request {
    message: Sent,
}

#[derive(Deserialize)]
struct Sent {
    token: String,
    notification: Notification,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Notification {
    title: Option<String>,
    body: String,
}

pub(super) async fn send(
    state: Data<AppState>,
    request: HttpRequest,
    project: Path<String>,
    body: Result<Bytes, actix_web::Error>,
) -> HttpResponse {
    match kept(&state, &request, body).await {
        Ok(id) => HttpResponse::Ok().json(json!({ "name": format!("projects/{project}/messages/0:{id}") })),
        Err(refused) => refused.answer(),
    }
}

/// Google's status, the same as a number, Firebase's own code where it has one, and why.
struct Refused(&'static str, StatusCode, Option<&'static str>, String);

impl Refused {
    fn invalid(why: impl Into<String>) -> Self {
        Self("INVALID_ARGUMENT", StatusCode::BAD_REQUEST, Some("INVALID_ARGUMENT"), why.into())
    }

    fn internal() -> Self {
        let why = "The sandbox failed, or its faults have it so.".to_owned();
        Self("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, Some("INTERNAL"), why)
    }

    fn answer(self) -> HttpResponse {
        let Self(status, http, code, message) = self;
        let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
        let details: Vec<Value> = code.into_iter().map(|code| json!({ "@type": kind, "errorCode": code })).collect();
        let error = json!({ "code": http.as_u16(), "message": message, "status": status, "details": details });
        HttpResponse::build(http).json(json!({ "error": error }))
    }
}

async fn kept(state: &AppState, request: &HttpRequest, body: Result<Bytes, actix_web::Error>) -> Result<i64, Refused> {
    let header = request.headers().get("Authorization").and_then(|value| value.to_str().ok());
    if header.and_then(|value| value.strip_prefix("Bearer ")).is_none_or(|token| token.trim().is_empty()) {
        let why = "Request is missing required authentication credential.".to_owned();
        return Err(Refused("UNAUTHENTICATED", StatusCode::UNAUTHORIZED, None, why));
    }
    let failure = troubled(state).await.map_err(|_| Refused::internal())?.failure();
    if failure == Some(Failure::Undone) {
        return Err(Refused::internal());
    }
    let body = body.map_err(|_| Refused::invalid("The body is too large."))?;
    let Request { message } = serde_json::from_slice(&body).map_err(|error| Refused::invalid(error.to_string()))?;
    if message.token.starts_with(UNREGISTERED) {
        let why = "Requested entity was not found.".to_owned();
        return Err(Refused("NOT_FOUND", StatusCode::NOT_FOUND, Some("UNREGISTERED"), why));
    }
    let is_token = !message.token.is_empty() && message.token.bytes().all(|byte| byte.is_ascii_graphic());
    if message.token.starts_with(INVALID) || !is_token {
        return Err(Refused::invalid("The registration token is not a valid FCM registration token"));
    }
    let texts = [message.notification.title.as_deref().unwrap_or_default(), &message.notification.body];
    if texts.iter().any(|text| text.contains('\0')) || message.data.iter().any(|(k, v)| (k.clone() + v).contains('\0'))
    {
        return Err(Refused::invalid("A text has characters that are none."));
    }
    let kept = NewMessage {
        channel: "push",
        recipient: &message.token,
        title: message.notification.title.as_deref(),
        body: &message.notification.body,
        data: json!(message.data),
    };
    let mut conn = connection(state).await.map_err(|_| Refused::internal())?;
    let id = keep(&mut conn, &kept).await.map_err(|_| Refused::internal())?;
    if failure.is_some() { Err(Refused::internal()) } else { Ok(id) }
}
