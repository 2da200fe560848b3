//! Customers who place orders, over a failover too.

use std::time::Instant;

use anyhow::Context;
use quadrille::api::{Api, OrderDraft};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A product that doesn't run out.
pub(super) const SKU: &str = "ACCEPT-FAILOVER";
pub(super) const ON_HAND: u32 = 10_000_000;

/// An order that was answered, and when.
pub(super) type Answered = (String, Instant);

pub(super) struct Load {
    stop: CancellationToken,
    customers: JoinSet<anyhow::Result<Vec<Answered>>>,
}

impl Load {
    /// So many customers, each of whom places the next order once the last is answered.
    pub fn start(api: &Api, customers: usize) -> Self {
        let (stop, mut placing) = (CancellationToken::new(), JoinSet::new());
        for _ in 0..customers {
            let (api, stop) = (api.clone(), stop.clone());
            placing.spawn(async move {
                let mut answered = Vec::new();
                while !stop.is_cancelled() {
                    let order = api.place(&OrderDraft { sku: SKU, ..OrderDraft::default() }).await?;
                    answered.push((order, Instant::now()));
                }
                Ok(answered)
            });
        }
        Self { stop, customers: placing }
    }

    /// Waits for the last answers. Fails if an order was refused, or never answered.
    pub async fn end(mut self) -> anyhow::Result<Vec<Answered>> {
        self.stop.cancel();
        let mut answered = Vec::new();
        while let Some(one) = self.customers.join_next().await {
            answered.extend(one?.context("a customer")?);
        }
        Ok(answered)
    }
}
