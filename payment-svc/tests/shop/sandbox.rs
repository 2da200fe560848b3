//! The real sandbox gateway, on a real port and a real database.

use std::time::Duration;

use payment_svc::gateway::{Stripe, StripeConfig};
use sandbox_gateway::{App, Config, webhooks::WebhookConfig};
use service_kit::{
    config::{HttpConfig, Reader},
    testing::TestDb,
};
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
        let timeout = Duration::from_secs(1);
        Stripe::new(StripeConfig {
            base_url: self.url.clone(),
            key: "sk_test_1".to_owned().into(),
            timeout,
            return_url: None,
        })
        .unwrap()
    }

    /// An intent's status, as the gateway has it.
    pub async fn status(&self, intent: &str) -> String {
        let request = reqwest::Client::new().get(format!("{}/v1/payment_intents/{intent}", self.url));
        let shown: serde_json::Value = request.bearer_auth("sk_test_1").send().await.unwrap().json().await.unwrap();
        shown["status"].as_str().unwrap().to_owned()
    }

    /// The intent that was made for an order.
    pub async fn intent(&self, order: &Order) -> String {
        let request = reqwest::Client::new().get(format!("{}/v1/payment_intents?limit=100", self.url));
        let list: serde_json::Value = request.bearer_auth("sk_test_1").send().await.unwrap().json().await.unwrap();
        let of_order = |intent: &&serde_json::Value| intent["metadata"]["order_id"] == order.id.to_string();
        let found = list["data"].as_array().unwrap().iter().find(of_order).unwrap();
        found["id"].as_str().unwrap().to_owned()
    }

    /// The customer's part of 3-D Secure.
    pub async fn authenticate(&self, intent: &str, outcome: &str) {
        let url = format!("{}/sandbox/payment_intents/{intent}/authenticate", self.url);
        let request = reqwest::Client::new().post(url).json(&serde_json::json!({"outcome": outcome}));
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// Somebody at the gateway's dashboard captures or cancels.
    pub async fn act_by_hand(&self, intent: &str, action: &str) {
        let request = reqwest::Client::new().post(format!("{}/v1/payment_intents/{intent}/{action}", self.url));
        request.bearer_auth("sk_test_1").send().await.unwrap().error_for_status().unwrap();
    }

    /// Somebody at the gateway's dashboard gives money back; gives the refund's id.
    pub async fn refund_by_hand(&self, intent: &str, amount: i64) -> String {
        let form = [("payment_intent", intent.to_owned()), ("amount", amount.to_string())];
        let request = reqwest::Client::new().post(format!("{}/v1/refunds", self.url)).form(&form);
        let made: serde_json::Value = request.bearer_auth("sk_test_1").send().await.unwrap().json().await.unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// The customer's bank takes money back; gives the dispute's id.
    pub async fn dispute(&self, intent: &str, amount: i64) -> String {
        let url = format!("{}/sandbox/payment_intents/{intent}/dispute", self.url);
        let request = reqwest::Client::new().post(url).json(&serde_json::json!({"amount": amount}));
        let made = request.send().await.unwrap().error_for_status().unwrap();
        made.json::<serde_json::Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// A dispute ends: `won` or `lost`.
    pub async fn close_dispute(&self, dispute: &str, outcome: &str) {
        let url = format!("{}/sandbox/disputes/{dispute}/close", self.url);
        let request = reqwest::Client::new().post(url).json(&serde_json::json!({"outcome": outcome}));
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// The customer's bank gives the newest refund of an intent back; gives the refund's id.
    pub async fn fail_refund(&self, intent: &str) -> String {
        let list = reqwest::Client::new().get(format!("{}/v1/refunds?payment_intent={intent}", self.url));
        let list: serde_json::Value = list.bearer_auth("sk_test_1").send().await.unwrap().json().await.unwrap();
        let refund = list["data"][0]["id"].as_str().unwrap().to_owned();
        let request = reqwest::Client::new().post(format!("{}/sandbox/refunds/{refund}/fail", self.url));
        let reason = serde_json::json!({"reason": "expired_or_canceled_card"});
        request.json(&reason).send().await.unwrap().error_for_status().unwrap();
        refund
    }

    pub async fn faults(&self, faults: serde_json::Value) {
        let request = reqwest::Client::new().put(format!("{}/sandbox/faults", self.url)).json(&faults);
        request.send().await.unwrap().error_for_status().unwrap();
    }

    /// The journal of an order: operation, amount, currency and key of each line.
    pub async fn journal(&self, order: &Order) -> Vec<String> {
        let url = format!("{}/sandbox/journal?order_id={}", self.url, order.id);
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let journal: serde_json::Value = serde_json::from_str(&text).unwrap();
        let text = |line: &serde_json::Value, name: &str| line[name].as_str().unwrap().to_owned();
        let line = |line: &serde_json::Value| {
            let (operation, currency) = (text(line, "operation"), text(line, "currency"));
            let key = line["idempotency_key"].as_str().unwrap_or("none");
            format!("{operation} {} {currency} {key}", line["amount"])
        };
        journal["items"].as_array().unwrap().iter().map(line).collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
