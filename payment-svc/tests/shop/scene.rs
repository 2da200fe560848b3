//! An order that is paid for at the real sandbox gateway, with the service's HTTP interface beside it.

use std::time::Duration;

use payment_svc::cli::{self, Ended};
use payment_svc::config::ReconcileConfig;
use payment_svc::gateway::Stripe;
use quadrille_testing::answer;
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::config::{DatabaseConfig, Reader};
use tokio_util::sync::CancellationToken;

use super::sandbox::{Sandbox, stripe_at};
use super::served::Served;
use super::{Order, Shop};

pub struct Scene {
    pub sandbox: Sandbox,
    pub shop: Shop<Stripe>,
    pub served: Served,
    pub order: Order,
}

impl Scene {
    /// Nothing is heard of the order yet.
    pub async fn unheard(method: &'static str) -> Self {
        let sandbox = Sandbox::start().await;
        let shop = Shop::new(sandbox.adapter()).await;
        let served = Served::start(&shop, sandbox.adapter());
        Self { sandbox, shop, served, order: Order::new(method) }
    }

    /// The gateway has been asked to authorise.
    pub async fn paid_with(method: &'static str) -> Self {
        let scene = Self::unheard(method).await;
        scene.shop.hear_and_call([scene.order.placed(), scene.order.reserved()]).await;
        scene
    }

    pub async fn authorised() -> Self {
        Self::paid_with("pm_card_visa").await
    }

    pub async fn captured() -> Self {
        let scene = Self::authorised().await;
        scene.shop.hear_and_call([scene.order.confirmed()]).await;
        scene
    }

    pub async fn id(&self) -> String {
        self.shop.payment(&self.order).await.id.to_string()
    }

    /// The gateway's name for the payment.
    pub async fn intent(&self) -> String {
        self.shop.intent(&self.order).await
    }

    /// Posts to the payment, below its own address.
    pub async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
        let request = self.served.request(Method::POST, &format!("/{}/{path}", self.id().await)).json(body);
        answer(key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key))).await
    }

    pub fn reconcile_config(&self) -> ReconcileConfig {
        let database = Reader::from_pairs([("DATABASE_URL", &self.shop.db.url)]).whole(DatabaseConfig::read).unwrap();
        ReconcileConfig { database, gateway: stripe_at(self.sandbox.url(), Duration::from_secs(5)) }
    }

    /// How `payment-svc reconcile` ended, and its lines.
    pub async fn reconcile(&self, repairs: bool) -> (Ended, Vec<String>) {
        let (mut out, stop) = (Vec::new(), CancellationToken::new());
        let ended = cli::reconcile(self.reconcile_config(), repairs, None, &stop, &mut out).await.unwrap();
        (ended, String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
    }

    /// The gateway tells of something.
    pub async fn told_of(&self, event: &str, kind: &str, object: Value) -> (u16, Value) {
        self.served.told(&json!({"id": event, "type": kind, "data": {"object": object}})).await
    }

    /// The operations in the gateway's journal, which is the same as the ledger.
    pub async fn money(&self) -> Vec<String> {
        let journal = self.sandbox.journal(&self.order).await;
        assert_eq!(journal, self.shop.ledger(&self.order).await);
        journal.iter().filter_map(|line| line.rsplit_once(" EUR ").map(|(moved, _)| moved.to_owned())).collect()
    }
}
