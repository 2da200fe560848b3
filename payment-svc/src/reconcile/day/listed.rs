//! What the gateway lists of a day, as much as fits into one answer.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, timeout_at};

use crate::gateway::{BalanceMovement, GatewayJournal};

/// Pages of a hundred in one answer; one more shows what happened right before, which the ledger may have a moment later.
const PAGES: usize = 5;
/// More are read only where all are of one second, which is not cut.
const MOST: usize = 50;
/// How long the gateway is asked for one answer. Whoever waits for it waits little longer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The ledger has a movement so much later at most, but for those whose answer was lost.
const LATER: TimeDelta = TimeDelta::minutes(1);

/// A part of a day as the gateway has it.
#[derive(Debug, Default, PartialEq)]
pub struct Listed {
    /// Everything from here to the end of the part is listed.
    pub from: DateTime<Utc>,
    pub movements: Vec<BalanceMovement>,
    /// What happened shortly before.
    pub before: Vec<BalanceMovement>,
}

/// The latest movements from `from` to before `until`. Fails, and says why, if the gateway has listed nothing in time.
pub async fn list<G: GatewayJournal>(
    gateway: &G,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Listed, &'static str> {
    let deadline = Instant::now() + PATIENCE;
    let (mut movements, mut cut, mut next) = (Vec::new(), None, None);
    for page in 1..=MOST {
        let found = match timeout_at(deadline, gateway.balance(from - LATER, until, next.take())).await {
            Ok(Ok(found)) => found,
            not => {
                tracing::warn!(page, answer = ?not.map(Result::err), "the gateway does not list a day to its end");
                // What has come so far is whole down to the page before.
                return cut.map(|cut| split(movements, cut)).ok_or("The gateway does not answer.");
            }
        };
        movements.extend(found.movements);
        if found.next.is_none() {
            return Ok(split(movements, from));
        }
        if page > PAGES && cut.is_some() {
            break;
        }
        // Nothing of its last second is shown, since there may be more of it.
        let whole = found.oldest.map(|oldest| oldest + TimeDelta::seconds(1)).filter(|whole| *whole < until);
        cut = if page <= PAGES { whole.or(cut) } else { cut.or(whole) }.map(|cut| cut.max(from));
        next = found.next;
    }
    cut.map(|cut| split(movements, cut)).ok_or("The gateway has more in one second than can be listed.")
}

fn split(movements: Vec<BalanceMovement>, from: DateTime<Utc>) -> Listed {
    let (movements, before) = movements.into_iter().partition(|movement| movement.at >= from);
    Listed { from, movements, before }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::gateway::{BalancePage, GatewayError, JournalTotals, ListedIntent, Moved};

    /// Has a movement every second, a hundred a page, and stops answering after so many pages.
    struct Busy {
        answers: usize,
        asked: AtomicUsize,
    }

    impl Busy {
        fn that_answers(answers: usize) -> Self {
            Self { answers, asked: AtomicUsize::new(0) }
        }
    }

    impl GatewayJournal for Busy {
        fn totals(&self, _: String) -> impl Future<Output = Result<JournalTotals, GatewayError>> + Send {
            pending()
        }

        fn intents(
            &self,
            _: Option<String>,
        ) -> impl Future<Output = Result<(Vec<ListedIntent>, bool), GatewayError>> + Send {
            pending()
        }

        fn balance(
            &self,
            from: DateTime<Utc>,
            until: DateTime<Utc>,
            after: Option<String>,
        ) -> impl Future<Output = Result<BalancePage, GatewayError>> + Send {
            if self.asked.fetch_add(1, Ordering::Relaxed) == self.answers {
                return ready(Err(GatewayError::NoAnswer("timed out".to_owned())));
            }
            let first = after.map_or(1, |after| after.parse::<i64>().unwrap() + 1);
            let at = |number: i64| until - TimeDelta::seconds(number);
            let movement = |number: i64| BalanceMovement {
                moved: Moved::Captured,
                at: at(number),
                intent: format!("pi_{number}"),
                id: format!("ch_{number}"),
                ours: None,
                amount: 1,
                currency: "EUR".to_owned(),
            };
            let movements: Vec<_> = (first..first + 100).filter(|number| at(*number) >= from).map(movement).collect();
            let last = first + 99;
            let (oldest, next) = (movements.last().map(|last| last.at), (at(last) > from).then(|| last.to_string()));
            ready(Ok(BalancePage { movements, oldest, next }))
        }
    }

    fn day() -> (DateTime<Utc>, DateTime<Utc>) {
        let from = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        (from, from + TimeDelta::days(1))
    }

    #[tokio::test]
    async fn a_large_day_is_cut_where_a_second_is_whole_and_what_happened_right_before_is_known() {
        let (from, until) = day();
        let listed = list(&Busy::that_answers(99), from, until).await.unwrap();
        assert_eq!(listed.from, until - TimeDelta::seconds(499));
        assert_eq!((listed.movements.len(), listed.before.len()), (499, 101));
        let rest = list(&Busy::that_answers(99), from, listed.from).await.unwrap();
        assert_eq!(rest.movements[0].at, listed.from - TimeDelta::seconds(1), "it goes on right there");
    }

    #[tokio::test]
    async fn a_day_that_fits_is_whole() {
        let (from, until) = (day().0, day().0 + TimeDelta::seconds(150));
        let listed = list(&Busy::that_answers(99), from, until).await.unwrap();
        assert_eq!((listed.from, listed.movements.len()), (from, 150));
        assert_eq!(listed.before.len(), 60, "the ledger may have them a moment later");
    }

    #[tokio::test]
    async fn a_gateway_that_stops_answering_gives_what_was_whole_by_then_or_says_so() {
        let (from, until) = day();
        let listed = list(&Busy::that_answers(2), from, until).await.unwrap();
        assert_eq!((listed.from, listed.movements.len()), (until - TimeDelta::seconds(199), 199));
        assert_eq!(list(&Busy::that_answers(0), from, until).await, Err("The gateway does not answer."));
    }
}
