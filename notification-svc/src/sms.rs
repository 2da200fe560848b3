//! Text messages, by Twilio's API: <https://www.twilio.com/docs/messaging/api/message-resource>.

use reqwest::{Client, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::delivery::provider::{self, Refusal};
use crate::delivery::{Message, Sender, Sending};
use crate::domain::SendError;

/// What the ids of messaging services begin with.
const SERVICE: &str = "MG";

#[derive(Clone, Debug)]
pub struct TwilioConfig {
    pub base_url: Url,
    /// `AC...`
    pub account: String,
    pub token: SecretString,
    /// A number, an alphanumeric sender, or a messaging service (`MG...`).
    pub from: String,
}

/// Twilio has no idempotency key: a message whose answer is lost is sent again, and may arrive twice.
pub struct Twilio {
    client: Client,
    config: TwilioConfig,
}

impl Twilio {
    /// Nothing is sent yet. Fails if the TLS set-up of this machine is broken.
    pub fn new(config: TwilioConfig) -> anyhow::Result<Self> {
        Ok(Self { client: provider::client(&config.base_url)?, config })
    }
}

impl Sender for Twilio {
    fn send(&self, message: Message) -> Sending {
        let TwilioConfig { base_url, account, token, from } = &self.config;
        let sender = if from.starts_with(SERVICE) { "MessagingServiceSid" } else { "From" };
        let form = [("To", message.recipient.as_str()), (sender, from), ("Body", &message.body)];
        let path = format!("/2010-04-01/Accounts/{account}/Messages.json");
        let request = self.client.post(provider::at(base_url, &path)).form(&form);
        let request = request.basic_auth(account, Some(token.expose_secret()));
        Box::pin(async move { provider::ask(request, judged).await })
    }
}

/// Twilio's error object: <https://www.twilio.com/docs/api/errors>.
#[derive(Default, Deserialize)]
struct TwilioError {
    code: Option<u32>,
    message: Option<String>,
}

/// What a 4xx means. Codes from 20000 to 20999 are about us (credentials, account), which no message can help; all others are
/// about this message: a number that is none (21211), is no mobile's (21614), has unsubscribed (21610) or can't be reached.
fn judged(refusal: &Refusal) -> SendError {
    let error: TwilioError = serde_json::from_slice(&refusal.body).unwrap_or_default();
    let message = error.message.unwrap_or_default();
    let said = match error.code {
        Some(code) => format!("{code} {message}"),
        None => format!("HTTP {}", refusal.status.as_u16()),
    };
    let is_ours = match error.code {
        Some(code) => (20_000..21_000).contains(&code),
        None => matches!(refusal.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND),
    };
    if is_ours { SendError::unavailable(said) } else { SendError::permanent(said) }
}
