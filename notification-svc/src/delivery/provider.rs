//! What providers with an HTTP API have in common: how they are asked, and what their answers mean whatever they say.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use service_kit::http_client;
use url::Url;

use crate::domain::SendError;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a provider may take in all; well within the lease.
const WHOLE: Duration = Duration::from_secs(20);
/// How much of an answer is read.
const LONGEST: usize = 64 * 1024;

/// A client for the API at this address. It follows no redirect, which would take credentials elsewhere.
pub fn client(base: &Url) -> anyhow::Result<Client> {
    let client = http_client::builder(base).connect_timeout(CONNECT).timeout(WHOLE).redirect(redirect::Policy::none());
    client.build().context("no HTTP client (are CA certificates installed?)")
}

/// The address of one of its resources.
pub fn at(base: &Url, path: &str) -> String {
    format!("{}{path}", base.as_str().trim_end_matches('/'))
}

/// An answer that took no message, or may not have.
pub struct Refusal {
    pub status: StatusCode,
    pub body: Vec<u8>,
    wait: Option<Duration>,
}

/// Asks a provider to send one message. `judge` says what a refusal means where its status alone doesn't tell.
///
/// A message that may have been taken, since its answer was lost or doesn't tell, is [`SendError::Unclear`]: there is no key by
/// which these providers know a message again.
pub async fn ask(request: RequestBuilder, judge: impl FnOnce(&Refusal) -> SendError) -> Result<(), SendError> {
    let response = match http_client::traced(request).send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return Err(SendError::unavailable("can't connect")),
        Err(error) if error.is_builder() => return Err(SendError::permanent("the request can't be written")),
        Err(error) if error.is_timeout() => return Err(SendError::unclear("timed out")),
        Err(_) => return Err(SendError::unclear("the connection failed")),
    };
    if response.status().is_success() {
        return Ok(());
    }
    let (status, wait) = (response.status(), retry_after(&response, Utc::now()));
    let refusal = Refusal { status, body: beginning(response).await, wait };
    Err(refusal.passing().unwrap_or_else(|| judge(&refusal)))
}

impl Refusal {
    /// What it means where any provider means the same: it is busy, or has failed.
    fn passing(&self) -> Option<SendError> {
        let said = format!("HTTP {}", self.status.as_u16());
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE if self.wait.is_none() => Some(SendError::unavailable(said)),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Some(self.later(said)),
            status if status.is_server_error() && self.wait.is_none() => Some(SendError::unclear(said)),
            status if status.is_server_error() => Some(self.later(said)),
            // somebody else answers at this address
            status if status.is_redirection() => Some(SendError::unavailable(said)),
            _ => None,
        }
    }

    fn later(&self, said: String) -> SendError {
        match self.wait {
            Some(wait) => SendError::busy(said, wait),
            None => SendError::transient(said),
        }
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(response: &Response, now: DateTime<Utc>) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => (DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now).to_std().ok(),
    }
}

/// As much of an answer as is looked at.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() >= LONGEST {
            break;
        }
    }
    body
}
