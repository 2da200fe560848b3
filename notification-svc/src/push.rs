//! Push messages, by Firebase Cloud Messaging's HTTP v1 API:
//! <https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send>.

use reqwest::{Client, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use service_kit::config::ChangingSecret;
use url::Url;

use crate::delivery::provider::{self, Refusal};
use crate::delivery::{Message, Sender, Sending};
use crate::domain::SendError;

#[derive(Clone, Debug)]
pub struct FirebaseConfig {
    pub base_url: Url,
    pub project: String,
    /// An OAuth 2.0 access token. Google's live for an hour, so it is read from its file for each message.
    pub token: ChangingSecret,
}

/// Firebase has no idempotency key: a message whose answer is lost is sent again. Both carry the notification's id as their
/// tag, so a device shows one of them.
pub struct Firebase {
    client: Client,
    config: FirebaseConfig,
}

impl Firebase {
    /// Nothing is sent yet. Fails if the TLS set-up of this machine is broken.
    pub fn new(config: FirebaseConfig) -> anyhow::Result<Self> {
        Ok(Self { client: provider::client(&config.base_url)?, config })
    }
}

impl Sender for Firebase {
    fn send(&self, message: Message) -> Sending {
        let FirebaseConfig { base_url, project, token } = &self.config;
        let url = provider::at(base_url, &format!("/v1/projects/{project}/messages:send"));
        let (request, token) = (self.client.post(url).json(&body(&message)), token.clone());
        Box::pin(async move {
            let token = tokio::task::spawn_blocking(move || token.now()).await.map_err(SendError::unavailable)?;
            let token = token.map_err(|why| SendError::unavailable(format!("FCM_ACCESS_TOKEN_FILE: {why}")))?;
            // one with the same tag takes the place of the one before
            let asked = provider::ask(request.bearer_auth(token.expose_secret()), judged).await;
            asked.map_err(SendError::repeatable)
        })
    }
}

fn body(message: &Message) -> Value {
    let id = message.id.to_string();
    json!({ "message": {
        "token": message.recipient,
        "notification": { "title": message.subject, "body": message.body },
        "data": { "notification_id": id, "order_id": message.order.to_string(), "template": message.template },
        "android": { "notification": { "tag": id } },
        "apns": { "headers": { "apns-collapse-id": id } },
        "webpush": { "notification": { "tag": id } },
    } })
}

/// Google's error object: <https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode>.
#[derive(Default, Deserialize)]
struct Answer {
    #[serde(default)]
    error: GoogleError,
}

#[derive(Default, Deserialize)]
struct GoogleError {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    details: Vec<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    error_code: Option<String>,
}

/// What a 4xx means. A device that is gone (`UNREGISTERED`), belongs to another app (`SENDER_ID_MISMATCH`), or can't be
/// written to (`INVALID_ARGUMENT`) is about this message; credentials, permissions and a project that is not there are about
/// all.
fn judged(refusal: &Refusal) -> SendError {
    let Answer { error: GoogleError { status, message, details } } =
        serde_json::from_slice(&refusal.body).unwrap_or_default();
    let code = details.into_iter().find_map(|detail| detail.error_code);
    let known = code.as_deref().unwrap_or(&status);
    let said = match known {
        "" => format!("HTTP {}", refusal.status.as_u16()),
        known => format!("{known} {message}"),
    };
    let is_ours = match known {
        "UNREGISTERED" | "SENDER_ID_MISMATCH" | "INVALID_ARGUMENT" => false,
        _ => matches!(refusal.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
    };
    if is_ours { SendError::unavailable(said) } else { SendError::permanent(said) }
}
