//! The points, one file each.

pub(super) mod audit;
pub(super) mod broker_killed;
pub(super) mod completed;
pub(super) mod everything_killed;
pub(super) mod idempotency;
pub(super) mod kafka_stopped;
pub(super) mod killed;
pub(super) mod last_units;
pub(super) mod topics_lost;
pub(super) mod undone;

use anyhow::{Context, bail};

use crate::api::Api;

/// Every one of these orders has exactly one authorisation and one capture in the gateway's journal, of the same amount,
/// and nothing was given back. The capture may come a moment after `confirmed`.
async fn must_be_charged_once(api: &Api, ids: &[String]) -> anyhow::Result<()> {
    let until = std::time::Instant::now() + crate::api::PATIENCE;
    loop {
        let journal = api.journal().await?;
        let captured = |id: &String| journal.get(id).is_some_and(|of_order| of_order.contains_key("capture"));
        if ids.iter().all(captured) {
            return ids.iter().try_for_each(|id| {
                let of_order = journal.get(id).with_context(|| format!("no charge for {id}"))?;
                match (of_order.get("authorise"), of_order.get("capture"), of_order.len()) {
                    (Some((held, 1)), Some((taken, 1)), 2) if held == taken => Ok(()),
                    _ => bail!("order {id} isn't charged once: {of_order:?}"),
                }
            });
        }
        if std::time::Instant::now() >= until {
            let missing = ids.iter().filter(|id| !captured(id)).count();
            bail!("{missing} of {} orders have no capture in the gateway's journal", ids.len());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
