//! Looks at parts of the shop, and again at those in which something seems broken.

use std::time::Duration;

use tokio::time::sleep;

use super::evidence::{Away, Evidence};
use super::rules::Pass;
use super::tally::{Suspects, Tally};

/// Services go on, and databases are read one after the other, so what seems broken may only be under way. It is looked
/// at again; what every look shows broken in the same way is told, whatever figures move.
const LOOKS: usize = 4;

/// A way through some parts of the shop, by their numbers.
pub(super) trait Walk {
    const PASS: Pass;

    /// Before these parts are looked at: the first time, or `again`.
    async fn begin(&mut self, parts: &[usize], again: bool) -> anyhow::Result<()>;

    /// The evidence on a part, as it is now.
    async fn evidence(&mut self, part: usize) -> anyhow::Result<Evidence>;
}

/// Looks at these parts until nothing is suspected any more, or all looks have shown the same.
pub(super) async fn settle<W: Walk>(
    walk: &mut W,
    parts: impl IntoIterator<Item = usize>,
    pause: Duration,
    away: &Away,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let mut parts: Vec<(usize, Option<Suspects>)> = parts.into_iter().map(|part| (part, None)).collect();
    for look in 1..=LOOKS {
        if parts.is_empty() {
            break;
        }
        if look > 1 {
            sleep(pause).await;
        }
        tally.looks = tally.looks.max(look);
        let numbers: Vec<_> = parts.iter().map(|(part, _)| *part).collect();
        walk.begin(&numbers, look > 1).await?;
        let mut suspected = Vec::new();
        for (part, before) in parts {
            let evidence = walk.evidence(part).await?;
            let suspects = tally.check(W::PASS, &evidence, away, before.as_ref(), look == LOOKS);
            if !suspects.is_empty() {
                suspected.push((part, Some(suspects)));
            }
        }
        parts = suspected;
    }
    Ok(())
}
