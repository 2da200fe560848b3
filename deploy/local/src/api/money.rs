//! What the bank saw, and what payment-svc says of it.

use std::collections::BTreeMap;

use super::{Api, number, text};
use crate::service::Service;

/// Money by gateway operation for one order, in minor units, with the number of effects.
pub(crate) type Journal = BTreeMap<String, (i64, usize)>;

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
}
