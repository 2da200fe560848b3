//! Twilio's message resource: <https://www.twilio.com/docs/messaging/api/message-resource>.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Path};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::kept::{NewMessage, keep};
use crate::faults::Failure;
use crate::http::{AppState, connection, troubled};
use crate::params::has_control;

/// Twilio's limit, in characters.
const LONGEST_BODY: usize = 1600;

/// Twilio's own numbers for trying out, and what each means: <https://www.twilio.com/docs/iam/test-credentials>.
const MAGIC: [(&str, u32, &str); 5] = [
    ("+15005550001", 21211, "is not a valid phone number."),
    ("+15005550002", 21612, "is not currently reachable."),
    ("+15005550003", 21408, "is in a region that this account may not send to."),
    ("+15005550004", 21610, "has unsubscribed."),
    ("+15005550009", 21614, "is not a mobile number."),
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Sent {
    #[serde(default)]
    to: String,
    from: Option<String>,
    messaging_service_sid: Option<String>,
    #[serde(default)]
    body: String,
}

pub(super) async fn send(
    state: Data<AppState>,
    request: HttpRequest,
    account: Path<String>,
    form: Result<Form<Sent>, actix_web::Error>,
) -> HttpResponse {
    match kept(&state, &request, &account, form).await {
        Ok(message) => HttpResponse::Created().json(message),
        Err((status, code, message)) => HttpResponse::build(status).json(json!({
            "code": code,
            "message": message,
            "more_info": format!("https://www.twilio.com/docs/errors/{code}"),
            "status": status.as_u16(),
        })),
    }
}

type Refused = (StatusCode, u32, String);

async fn kept(
    state: &AppState,
    request: &HttpRequest,
    account: &str,
    form: Result<Form<Sent>, actix_web::Error>,
) -> Result<Value, Refused> {
    let failed = |message: &str| (StatusCode::INTERNAL_SERVER_ERROR, 20500, message.to_owned());
    if !is_account(request, account) {
        return Err((StatusCode::UNAUTHORIZED, 20003, "Authenticate".to_owned()));
    }
    let failure = troubled(state).await.map_err(|_| failed("The sandbox's database is not there."))?.failure();
    if failure == Some(Failure::Undone) {
        return Err(failed("The sandbox fails at this, as its faults have it."));
    }
    let Form(sent) = form.map_err(|_| (StatusCode::BAD_REQUEST, 20001, "The body is no form.".to_owned()))?;
    let from = checked(&sent)?;
    let message = NewMessage {
        channel: "sms",
        recipient: &sent.to,
        title: None,
        body: &sent.body,
        data: json!({ "from": from }),
    };
    let mut conn = connection(state).await.map_err(|_| failed("The sandbox's database is not there."))?;
    let id = keep(&mut conn, &message).await.map_err(|_| failed("The sandbox's database refused."))?;
    if failure.is_some() {
        return Err(failed("The sandbox fails at this, as its faults have it."));
    }
    let sid = format!("SM{id:032x}");
    Ok(json!({
        "sid": sid,
        "account_sid": account,
        "to": sent.to,
        "from": from,
        "body": sent.body,
        "status": "queued",
        "direction": "outbound-api",
        "error_code": null,
        "error_message": null,
        "uri": format!("/2010-04-01/Accounts/{account}/Messages/{sid}.json"),
    }))
}

/// Whoever the message comes from, if nothing is wrong with it.
fn checked(sent: &Sent) -> Result<&str, Refused> {
    let refused = |code, message: String| Err((StatusCode::BAD_REQUEST, code, message));
    let from = sent.from.as_deref().or(sent.messaging_service_sid.as_deref()).filter(|from| !from.is_empty());
    let digits = sent.to.strip_prefix('+').unwrap_or_default();
    let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    match (from, MAGIC.iter().find(|(number, ..)| *number == sent.to)) {
        _ if sent.to.is_empty() => refused(21604, "A 'To' phone number is required.".to_owned()),
        (None, _) => refused(21603, "A 'From' phone number is required.".to_owned()),
        _ if sent.body.is_empty() => refused(21602, "Message body is required.".to_owned()),
        _ if sent.body.chars().count() > LONGEST_BODY || sent.body.contains('\0') => {
            refused(21617, format!("The message body is longer than {LONGEST_BODY} characters."))
        }
        _ if !is_number => refused(21211, format!("The 'To' number {} is not a valid phone number.", sent.to)),
        (_, Some((number, code, why))) => refused(*code, format!("The 'To' number {number} {why}")),
        (Some(from), None) if has_control(from) => refused(21212, "The 'From' number is not valid.".to_owned()),
        (Some(from), None) => Ok(from),
    }
}

/// Whether a request is this account's, with any token that isn't empty.
fn is_account(request: &HttpRequest, account: &str) -> bool {
    let header = request.headers().get("Authorization").and_then(|value| value.to_str().ok());
    let pair = header.and_then(|value| value.strip_prefix("Basic ")).and_then(|text| STANDARD.decode(text).ok());
    let pair = pair.and_then(|pair| String::from_utf8(pair).ok());
    pair.as_deref()
        .and_then(|pair| pair.split_once(':'))
        .is_some_and(|(user, token)| user == account && !token.is_empty())
}
