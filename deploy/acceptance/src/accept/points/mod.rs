pub(super) mod audit;
pub(super) mod broker_killed;
pub(super) mod completed;
pub(super) mod everything_killed;
pub(super) mod from_nothing;
pub(super) mod idempotency;
pub(super) mod idle;
pub(super) mod kafka_stopped;
pub(super) mod killed;
pub(super) mod last_units;
pub(super) mod topics_lost;
pub(super) mod undone;

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use quadrille::api::{Api, PATIENCE};
use tokio::time::sleep;

const POLL: Duration = Duration::from_millis(50);

/// Every one of these orders has exactly one authorisation and one capture in the gateway's journal, of the same amount,
/// and nothing was given back. The capture may come a moment after `confirmed`.
async fn must_be_charged_once(api: &Api, ids: &[String]) -> anyhow::Result<()> {
    let all_captured = || async {
        let journal = api.journal().await?;
        let captured = |id: &&String| journal.get(*id).is_some_and(|of_order| of_order.contains_key("capture"));
        let missing = ids.len() - ids.iter().filter(captured).count();
        ensure!(missing == 0, "{missing} of {} orders have no capture in the gateway's journal", ids.len());
        Ok(journal)
    };
    let journal = until(all_captured).await?;
    ids.iter().try_for_each(|id| {
        let of_order = journal.get(id).with_context(|| format!("no charge for {id}"))?;
        match (of_order.get("authorise"), of_order.get("capture"), of_order.len()) {
            (Some((held, 1)), Some((taken, 1)), 2) if held == taken => Ok(()),
            _ => bail!("order {id} isn't charged once: {of_order:?}"),
        }
    })
}

/// Tries until it succeeds; its last failure when that takes too long.
pub(in crate::accept) async fn until<T, F: Future<Output = anyhow::Result<T>>>(
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt().await {
            Err(error) if Instant::now() >= until => return Err(error.context(format!("after {PATIENCE:?}"))),
            Err(_) => sleep(POLL).await,
            Ok(found) => return Ok(found),
        }
    }
}
