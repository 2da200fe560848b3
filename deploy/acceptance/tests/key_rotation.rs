//! A running shop whose issuer changes its signing key while everybody goes on asking: nobody is refused.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and says its counts")]

mod running;

use std::collections::BTreeMap;
use std::time::Duration;

use quadrille::service::Service;
use reqwest::Client;
use running::Running;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// What a machine with reading scopes may see, one list of each service.
const LISTS: [(Service, &str); 4] = [
    (Service::OrderSvc, "/api/v1/orders?limit=1"),
    (Service::StockSvc, "/api/v1/shipments?limit=1"),
    (Service::PaymentSvc, "/api/v1/payments?limit=1"),
    (Service::NotificationSvc, "/api/v1/notifications?limit=1"),
];
/// How many requests of each service must be answered with a token of the new key.
const ENOUGH: usize = 50;
/// The issuer publishes a key for a minute before it signs.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two requests of one client, so that the other tests have something of the machine.
const PAUSE: Duration = Duration::from_millis(20);

/// A token's first part names its key.
fn key_of(token: &str) -> String {
    token.split('.').next().unwrap().to_owned()
}

async fn token(client: &Client, issuer: &str) -> String {
    let form = client.post(format!("{issuer}/token")).basic_auth("backoffice", Some("sandbox-backoffice"));
    let answer = form.form(&[("grant_type", "client_credentials")]).send().await.unwrap();
    let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
    assert_eq!(status, 200, "{body}");
    body["access_token"].as_str().unwrap().to_owned()
}

/// Asks for the list, each time with a new token, until enough of them were of another key than the first. How many were
/// of each key.
async fn ask_until_the_key_has_changed(client: Client, issuer: String, list: String) -> BTreeMap<String, usize> {
    let (mut counts, began) = (BTreeMap::new(), Instant::now());
    let first = key_of(&token(&client, &issuer).await);
    loop {
        let token = token(&client, &issuer).await;
        let answer = client.get(&list).bearer_auth(&token).send().await.unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{list}: {body}");
        *counts.entry(key_of(&token)).or_default() += 1;
        if counts.iter().any(|(key, count)| *key != first && *count >= ENOUGH) {
            return counts;
        }
        assert!(began.elapsed() < PATIENCE, "the key doesn't change: {counts:?}");
        sleep(PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_issuer_changes_its_key_no_service_refuses_a_request() {
    let running = Running::start("").await;
    let client = Client::new();
    let issuer = running.url(Service::SandboxIssuer.name(), "");
    let issuer = issuer.trim_end_matches('/').to_owned();
    let asking = LISTS.map(|(service, list)| {
        let list = running.url(service.name(), list);
        tokio::spawn(ask_until_the_key_has_changed(client.clone(), issuer.clone(), list))
    });
    let rotated = client.post(format!("{issuer}/sandbox/keys/rotate")).send().await.unwrap();
    assert!(rotated.status().is_success(), "{rotated:?}");
    for (asking, (service, _)) in asking.into_iter().zip(LISTS) {
        let counts = asking.await.unwrap();
        let counts: Vec<_> = counts.into_values().collect();
        eprintln!("{}: requests answered, by key: {counts:?}", service.name());
        assert_eq!(counts.len(), 2);
    }
    running.stop().await;
}
