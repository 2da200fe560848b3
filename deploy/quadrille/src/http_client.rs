//! How the tools ask the shop's services.

use std::time::Duration;

use anyhow::Context;
use reqwest::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use service_kit::http_client;
use url::Url;

/// A client for `url`. No proxy of the environment comes between, and over plain HTTP no certificates are needed, which
/// a small image may not hold. Over TLS it fails if the machine's certificates can't be read.
pub fn client(url: &Url, patience: Duration) -> anyhow::Result<Client> {
    client_with(url, patience, None)
}

/// The same, with a token on each request.
pub fn client_with(url: &Url, patience: Duration, token: Option<&str>) -> anyhow::Result<Client> {
    let client = http_client::builder(url).no_proxy().timeout(patience).default_headers(bearing(token)?);
    client.build().with_context(|| format!("no client can be made for {url}"))
}

/// The headers that carry a token.
pub(crate) fn bearing(token: Option<&str>) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if let Some(token) = token {
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).context("the token is none")?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}
