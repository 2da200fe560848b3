//! How the tools ask the shop's services.

use std::time::Duration;

use anyhow::Context;
use reqwest::Client;
use url::Url;

/// A client for `url`. No proxy of the environment comes between, and over plain HTTP no certificates are needed, which
/// a small image may not hold. Over TLS it fails if the machine's certificates can't be read.
pub fn client(url: &Url, patience: Duration) -> anyhow::Result<Client> {
    let mut client = Client::builder().timeout(patience).no_proxy();
    if url.scheme() == "http" {
        client = client.tls_certs_only([]);
    }
    client.build().with_context(|| format!("no client can be made for {url}"))
}
