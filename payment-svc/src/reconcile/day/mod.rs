//! A day of captured money: the ledger and the gateway's own books, movement by movement.
//!
//! A movement is of the time at which the gateway made it, or, where the gateway has none, at which the ledger entered it. So
//! one that happened right before midnight and was entered right after it is no difference.

mod listed;
mod merged;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use service_kit::Pool;
use tokio::time::{Instant, timeout_at};

pub use merged::{Movement, Operation, Side, State};

use self::listed::Listed;
use self::merged::{Books, merged};
use crate::gateway::{GatewayJournal, PaymentGateway};
use crate::store::booked;

/// Lines of the ledger in one part of a day.
const LINES: i64 = 1_000;
/// Of so many movements that only the ledger has the gateway is asked whether it has them at another time.
const LOOK_UPS: usize = 20;
const PATIENCE: Duration = Duration::from_secs(1);

/// A part of a day, its latest movements first.
#[derive(Debug, PartialEq)]
pub struct DayPart {
    /// All from here to before where it was asked to end is in it.
    pub from: DateTime<Utc>,
    pub movements: Vec<Movement>,
    /// Why the gateway's side is missing, if it is.
    pub trouble: Option<&'static str>,
}

/// Compares what happened from `from` to before `until`, the latest part of it that one answer can hold. Both are whole seconds.
/// Fails if the database can't be asked.
pub async fn compare<G: PaymentGateway + GatewayJournal>(
    pool: &Pool,
    gateway: &G,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> anyhow::Result<DayPart> {
    let (listed, trouble) = match listed::list(gateway, from, until).await {
        Ok(listed) => (listed, None),
        Err(why) => (Listed { from, ..Listed::default() }, Some(why)),
    };
    let (books, lines, from) = {
        let conn = pool.get().await?;
        let mut lines = booked::between(&conn, listed.from, until, LINES + 1).await?;
        let from = whole(&mut lines, listed.from, until);
        let payments: Vec<_> = lines.iter().map(|line| line.whose.payment).collect();
        let intents: Vec<_> = listed.movements.iter().chain(&listed.before).map(|it| it.intent.as_str()).collect();
        let all = booked::of_payments(&conn, &payments, &intents).await?;
        (Books::new(&all), lines, from)
    };
    let (movements, mut before) = (listed.movements, listed.before);
    let (movements, cut): (Vec<_>, Vec<_>) = movements.into_iter().partition(|movement| movement.at >= from);
    before.extend(cut);
    let mut movements = merged(&books, &lines, (&movements, &before), Utc::now());
    if trouble.is_none() {
        look_up(gateway, &mut movements).await;
    }
    Ok(DayPart { from, movements, trouble })
}

/// From when on all lines are there: more than fit begin later, with a whole second.
fn whole(lines: &mut Vec<booked::Booked>, from: DateTime<Utc>, until: DateTime<Utc>) -> DateTime<Utc> {
    let too_many = i64::try_from(lines.len()).is_ok_and(|lines| lines > LINES);
    let oldest = lines.last().and_then(|line| line.entry.as_ref()).map(|entry| entry.at).filter(|_| too_many);
    let Some(oldest) = oldest else { return from };
    // Nobody can go on within a second, so the last one is shown as far as it fits.
    let whole = (oldest.trunc_subsecs(0) + TimeDelta::seconds(1)).min(until - TimeDelta::seconds(1));
    lines.retain(|line| line.entry.as_ref().is_some_and(|entry| entry.at >= whole));
    whole
}

/// Asks whether the gateway has at another time what it doesn't have now; such a movement is of that other time.
async fn look_up<G: PaymentGateway + GatewayJournal>(gateway: &G, movements: &mut Vec<Movement>) {
    let (deadline, mut answers) = (Instant::now() + PATIENCE, Vec::new());
    for (place, movement) in movements.iter().enumerate() {
        if movement.state != State::Unchecked || answers.len() == LOOK_UPS {
            continue;
        }
        match timeout_at(deadline, has(gateway, movement)).await {
            Ok(Some(has)) => answers.push((place, has)),
            Ok(None) | Err(_) => break,
        }
    }
    // From the last to the first, so that places stay.
    for (place, has) in answers.into_iter().rev() {
        if has {
            movements.remove(place);
        } else if let Some(movement) = movements.get_mut(place) {
            let awaited = movement.whose.as_ref().is_some_and(|whose| whose.under_way);
            movement.state = if awaited { State::UnderWay } else { State::Different };
        }
    }
}

/// Whether the gateway has a movement at any time; none if it can't be asked.
async fn has<G: PaymentGateway + GatewayJournal>(gateway: &G, movement: &Movement) -> Option<bool> {
    let Some(intent) = movement.intent.clone() else { return Some(false) };
    if movement.operation == Operation::Capture {
        return Some(gateway.totals(intent).await.ok()?.captured > 0);
    }
    let given_back = gateway.given_back(intent).await.ok()?;
    let is_it = |given: &&crate::gateway::GivenBack| {
        let name = given.ours.unwrap_or_else(|| crate::domain::refund_made_elsewhere(&given.id));
        Some(name) == movement.refund
    };
    let found = given_back.iter().find(is_it);
    Some(match movement.operation {
        Operation::RefundReversal => found.is_some_and(|given| given.failed.is_some()),
        _ => found.is_some(),
    })
}
