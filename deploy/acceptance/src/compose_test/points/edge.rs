//! The one door: each path reaches the service that owns it, and what is too much is refused at the door.

use std::time::Duration;

use anyhow::ensure;
use quadrille::api::{OrderDraft, text};
use quadrille::login::Person;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tokio::task::JoinSet;

use super::super::stack::Stack;

const DOOR: &str = "http://127.0.0.1:8000";
pub(in crate::compose_test) const PATHS: [&str; 5] = [
    "http://127.0.0.1:8000/api/v1/products",
    "http://127.0.0.1:8000/api/v1/orders",
    "http://127.0.0.1:8000/api/v1/payments",
    "http://127.0.0.1:8000/api/v1/notifications",
    "http://127.0.0.1:8000/api/v1/shipments",
];
/// Larger than anything that the services take.
const TOO_LARGE: usize = 1_500_000;
/// More at once than one client is allowed.
const TOO_MANY: usize = 400;

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let client = Client::builder().timeout(Duration::from_secs(20)).build()?;
    let token = stack.token(Person::Sam).await?;
    let orders = format!("{DOOR}/api/v1/orders");
    let wish = OrderDraft { customer: "c-edge", ..OrderDraft::default() };
    let answer = client.post(&orders).bearer_auth(&token).json(&wish.body()).send().await?;
    ensure!(answer.status() == StatusCode::ACCEPTED, "an order through the door was answered {}", answer.status());
    let order: Value = answer.json().await?;
    let shown = client.get(format!("{orders}/{}", text(&order, "id")?)).bearer_auth(&token).send().await?.status();
    ensure!(shown == StatusCode::OK, "the order can't be looked at through the door: {shown}");
    let large = client.post(&orders).body("x".repeat(TOO_LARGE)).send().await?.status();
    ensure!(large == StatusCode::PAYLOAD_TOO_LARGE, "{TOO_LARGE} bytes were answered {large}");
    let (passed, refused) = storm(&client).await?;
    ensure!(refused > 0 && passed > 0, "of {TOO_MANY} requests at once {passed} passed and {refused} were refused");
    Ok(format!(
        "an order placed through it, {TOO_LARGE} bytes refused, {refused} of {TOO_MANY} requests at once refused"
    ))
}

async fn storm(client: &Client) -> anyhow::Result<(usize, usize)> {
    let mut asking = JoinSet::new();
    for _ in 0..TOO_MANY {
        let request = client.get(format!("{DOOR}/api/v1/products?limit=1"));
        asking.spawn(async move { request.send().await.map(|answer| answer.status()) });
    }
    let (mut passed, mut refused) = (0, 0);
    while let Some(status) = asking.join_next().await {
        match status?? {
            StatusCode::OK => passed += 1,
            StatusCode::TOO_MANY_REQUESTS => refused += 1,
            other => anyhow::bail!("a request among {TOO_MANY} was answered {other}"),
        }
    }
    Ok((passed, refused))
}
