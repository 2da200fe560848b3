//! What must hold after the topics were rebuilt.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use quadrille::api::number;
use quadrille::records::{self, Record};
use quadrille::service::Service;
use service_kit::{dead_letters, pool};

use super::{LOST, SKU, by_hand::ByHand};
use crate::accept::events;
use crate::accept::points::{must_be_charged_once, until};
use crate::shop::Shop;

/// Placed, confirmed, dispatched, delivered.
const MAILS: usize = 4;

/// The shop, and all the orders that were ever placed in it.
pub(super) struct Checks<'a> {
    pub shop: &'a Shop,
    pub by_hand: &'a ByHand,
    pub ids: &'a [String],
}

impl Checks<'_> {
    /// Checks what is in the topics now against what was there `before`. Returns figures.
    pub async fn all(&self, bootstrap: &str, before: &[Record]) -> anyhow::Result<String> {
        self.money_and_goods().await?;
        self.mails().await?;
        self.nothing_buried().await?;
        let known = self.told_again().await?;
        until(|| self.told_to_the_end(bootstrap)).await?;
        let after = events::all(bootstrap, &records::OF_ORDERS).await?;
        let twice = events::must_be_contiguous(&after)?;
        must_go_on(before, &after)?;
        Ok(format!(
            "{} events in {} topics, each key's numbered without a gap, {twice} of them twice; inboxes dropped {known}",
            after.len(),
            records::OF_ORDERS.len()
        ))
    }

    async fn money_and_goods(&self) -> anyhow::Result<()> {
        let (api, ids) = (&self.shop.api, self.ids);
        must_be_charged_once(api, ids).await?;
        let journal = api.journal().await?;
        ensure!(journal.len() == ids.len(), "the gateway moved money for {} orders, not {}", journal.len(), ids.len());
        let payments = api.all(Service::PaymentSvc, "/api/v1/payments?").await?;
        ensure!(payments.len() == ids.len(), "{} payments for {} orders", payments.len(), ids.len());
        for payment in &payments {
            let of = |field: &str| number(&payment[field], "amount");
            ensure!(of("captured")? == of("amount")? && of("refunded")? == 0, "not paid once: {payment}");
        }
        let held = number(&api.product(SKU).await?, "held")?;
        ensure!(held == 0, "{held} pieces are still held");
        Ok(())
    }

    /// What each lost topic says last of an order is there.
    async fn told_to_the_end(&self, bootstrap: &str) -> anyhow::Result<()> {
        let all = events::all(bootstrap, &LOST).await?;
        for last in ["order.completed.v1", "stock.committed.v1"] {
            let told: BTreeSet<_> =
                all.iter().filter(|event| event.event_type == last).map(|event| &event.key).collect();
            let missing = self.ids.iter().filter(|id| !told.contains(id)).count();
            ensure!(missing == 0, "{missing} of {} orders have no {last}", self.ids.len());
        }
        Ok(())
    }

    async fn mails(&self) -> anyhow::Result<()> {
        for id in self.ids {
            until(|| async {
                let all = self.shop.api.notifications(id).await?;
                let sent = all.iter().filter(|mail| mail["status"] == "sent").count();
                ensure!(sent == MAILS && all.len() == MAILS, "order {id} has {sent} mails sent of {}", all.len());
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    async fn nothing_buried(&self) -> anyhow::Result<()> {
        for service in Service::WITH_OUTBOX {
            let mut conn = pool::connect(&self.by_hand.database(service)?).await?;
            if let Some(letter) = dead_letters::list(&mut conn, 0, 1).await?.first() {
                bail!("{} has dead letters: {}", service.name(), serde_json::to_string(letter)?);
            }
        }
        Ok(())
    }

    /// How many events each service was told again and knew.
    async fn told_again(&self) -> anyhow::Result<u64> {
        let mut all = 0;
        for service in Service::WITH_OUTBOX {
            let metrics = self.shop.api.metrics(service).await?;
            let known = metrics.lines().filter(|line| {
                line.starts_with("consumer_events_total{")
                    && line.contains("outcome=\"duplicate\"")
                    && LOST.iter().any(|topic| line.contains(&format!("topic=\"{topic}\"")))
            });
            let known = known.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
            ensure!(known > 0, "{} was told nothing again", service.name());
            all += known;
        }
        Ok(all)
    }
}

/// What a key said on a topic before is what it says first now.
fn must_go_on(before: &[Record], after: &[Record]) -> anyhow::Result<()> {
    let now: BTreeSet<_> = after.iter().map(|event| (&event.topic, &event.key, event.sequence, &event.id)).collect();
    let lost = before.iter().filter(|event| !now.contains(&(&event.topic, &event.key, event.sequence, &event.id)));
    match lost.count() {
        0 => Ok(()),
        lost => bail!("{lost} of {} events are lost, or are others now", before.len()),
    }
}
