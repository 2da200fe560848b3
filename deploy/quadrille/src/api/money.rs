//! What the bank saw, and what payment-svc says of it.

use std::collections::BTreeMap;

use anyhow::Context;

use super::{Api, json_of, number, text};
use crate::service::Service;

/// Money by gateway operation for one order, in minor units, with the number of effects.
pub type Journal = BTreeMap<String, (i64, usize)>;

impl Api {
    /// The gateway's whole journal, by order.
    pub async fn journal(&self) -> anyhow::Result<BTreeMap<String, Journal>> {
        let mut by_order = BTreeMap::<String, Journal>::new();
        for line in self.all(Service::SandboxGateway, "/sandbox/journal?").await? {
            let of_order = by_order.entry(text(&line, "order_id")?).or_default();
            let sum = of_order.entry(text(&line, "operation")?).or_default();
            sum.0 += number(&line, "amount")?;
            sum.1 += 1;
        }
        Ok(by_order)
    }

    /// What the gateway did with an order's money, first to last: the operation and its amount in minor units.
    pub async fn effects_on(&self, order: &str) -> anyhow::Result<Vec<(String, i64)>> {
        let lines = self.all(Service::SandboxGateway, &format!("/sandbox/journal?order_id={order}&")).await?;
        lines.iter().map(|line| Ok((text(line, "operation")?, number(line, "amount")?))).collect()
    }

    /// Where an intent stands at the gateway, which asks for a key and takes any.
    pub async fn intent_status(&self, intent: &str) -> anyhow::Result<String> {
        let url = self.url(Service::SandboxGateway, &format!("/v1/payment_intents/{intent}"))?;
        let answer = self.client.get(&url).bearer_auth("sk_test_sandbox").send().await;
        text(&json_of(answer.with_context(|| format!("GET {url}"))?).await?, "status")
    }
}
