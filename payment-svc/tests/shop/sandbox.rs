//! The real sandbox gateway, on a real port and a real database.

use std::time::Duration;

use payment_svc::gateway::{Stripe, StripeConfig};
use reqwest::{Method, RequestBuilder};
use sandbox_gateway::{App, Config, webhooks::WebhookConfig};
use serde_json::{Value, json};
use service_kit::config::{HttpConfig, Reader};
use service_kit::testing::TestDb;
use tokio_util::sync::CancellationToken;

use super::Order;

pub struct Sandbox {
    url: String,
    stop: CancellationToken,
    _db: TestDb,
}

impl Sandbox {
    pub async fn start() -> Self {
        Self::telling(None).await
    }

    /// One that tells by webhook what happens: where, and signed with what.
    pub async fn telling(webhooks: Option<WebhookConfig>) -> Self {
        let db = TestDb::new(&sandbox_gateway::migrations()).await;
        let mut config = Reader::from_pairs([("DATABASE_URL", db.url.clone())]).whole(Config::read).unwrap();
        config.http = HttpConfig::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        config.webhooks = webhooks;
        let app = App::build(config).await.unwrap();
        let url = format!("http://127.0.0.1:{}", app.port());
        let stop = CancellationToken::new();
        tokio::spawn(app.run_until(stop.clone()));
        Self { url, stop, _db: db }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The adapter, which waits a second for an answer.
    pub fn adapter(&self) -> Stripe {
        Stripe::new(stripe_at(&self.url, Duration::from_secs(1))).unwrap()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        reqwest::Client::new().request(method, format!("{}{path}", self.url)).bearer_auth("sk_test_1")
    }

    async fn get(&self, path: &str) -> Value {
        self.request(Method::GET, path).send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.request(Method::POST, path).json(&body).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// An intent's status, as the gateway has it.
    pub async fn status(&self, intent: &str) -> String {
        text(&self.get(&format!("/v1/payment_intents/{intent}")).await, "status")
    }

    /// The intent that was made for an order.
    pub async fn intent(&self, order: &Order) -> String {
        let list = self.get("/v1/payment_intents?limit=100").await;
        let of_order = |intent: &&Value| intent["metadata"]["order_id"] == order.id.to_string();
        text(list["data"].as_array().unwrap().iter().find(of_order).unwrap(), "id")
    }

    /// The customer's part of 3-D Secure.
    pub async fn authenticate(&self, intent: &str, outcome: &str) {
        self.post(&format!("/sandbox/payment_intents/{intent}/authenticate"), json!({"outcome": outcome})).await;
    }

    /// Somebody at the gateway's dashboard captures or cancels.
    pub async fn act_by_hand(&self, intent: &str, action: &str) {
        let request = self.request(Method::POST, &format!("/v1/payment_intents/{intent}/{action}"));
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// Somebody at the gateway's dashboard gives money back; gives the refund's id.
    pub async fn refund_by_hand(&self, intent: &str, amount: i64) -> String {
        let form = [("payment_intent", intent.to_owned()), ("amount", amount.to_string())];
        let made = self.request(Method::POST, "/v1/refunds").form(&form).send().await.unwrap();
        text(&made.json().await.unwrap(), "id")
    }

    /// The customer's bank takes money back; gives the dispute's id.
    pub async fn dispute(&self, intent: &str, amount: i64) -> String {
        text(&self.post(&format!("/sandbox/payment_intents/{intent}/dispute"), json!({"amount": amount})).await, "id")
    }

    /// A dispute ends: `won` or `lost`.
    pub async fn close_dispute(&self, dispute: &str, outcome: &str) {
        self.post(&format!("/sandbox/disputes/{dispute}/close"), json!({"outcome": outcome})).await;
    }

    /// The customer's bank gives the newest refund of an intent back; gives the refund's id.
    pub async fn fail_refund(&self, intent: &str) -> String {
        let refund = text(&self.get(&format!("/v1/refunds?payment_intent={intent}")).await["data"][0], "id");
        self.post(&format!("/sandbox/refunds/{refund}/fail"), json!({"reason": "expired_or_canceled_card"})).await;
        refund
    }

    pub async fn faults(&self, faults: Value) {
        let request = self.request(Method::PUT, "/sandbox/faults").json(&faults);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// The journal of an order: operation, amount, currency and key of each line.
    pub async fn journal(&self, order: &Order) -> Vec<String> {
        let journal = self.get(&format!("/sandbox/journal?order_id={}", order.id)).await;
        let line = |line: &Value| {
            let key = line["idempotency_key"].as_str().unwrap_or("none");
            format!("{} {} {} {key}", text(line, "operation"), line["amount"], text(line, "currency"))
        };
        journal["items"].as_array().unwrap().iter().map(line).collect()
    }
}

fn text(object: &Value, field: &str) -> String {
    object[field].as_str().unwrap().to_owned()
}

/// How to reach a gateway at this URL.
pub fn stripe_at(url: &str, timeout: Duration) -> StripeConfig {
    StripeConfig { base_url: url.to_owned(), key: "sk_test_1".to_owned().into(), timeout, return_url: None }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
