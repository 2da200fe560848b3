//! How orders flow, counted once for all who look: counting takes longer the more orders an hour has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use service_kit::Pool;

use crate::store::figures::{self, Cancelled, Minute, Now};

/// What was counted so lately is shown as it is.
const FRESH: Duration = Duration::from_secs(3);
/// What was counted so lately is shown while it is counted again.
const GOOD: Duration = Duration::from_secs(15);

/// Orders as they are, and minute by minute over the last hour.
#[derive(Debug)]
pub struct Flow {
    /// When it was counted.
    pub at: DateTime<Utc>,
    pub now: Now,
    pub hour: Vec<Minute>,
    pub cancelled: Vec<Cancelled>,
}

/// What was counted last. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Counted(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    flow: Option<(Instant, Arc<Flow>)>,
    /// Since when somebody counts.
    counting: Option<Instant>,
}

/// What is to be done by whoever looks.
enum Look {
    Show(Arc<Flow>),
    ShowAndCount(Arc<Flow>),
    Count,
}

impl Counted {
    /// What was counted lately. If that was seconds ago, it is counted again meanwhile.
    pub fn lately(&self, pool: &Pool) -> Option<Arc<Flow>> {
        match self.look(Instant::now()) {
            Look::Show(flow) => Some(flow),
            Look::ShowAndCount(flow) => {
                tokio::spawn(self.clone().count_again(pool.clone()));
                Some(flow)
            }
            Look::Count => None,
        }
    }

    /// Counts now.
    ///
    /// # Errors
    /// The database can't be read.
    pub async fn count(&self, conn: &mut AsyncPgConnection) -> QueryResult<Arc<Flow>> {
        let (at, now, hour) = (Utc::now(), figures::now(conn).await?, figures::last_hour(conn).await?);
        let flow = Arc::new(Flow { at, now, hour, cancelled: figures::cancelled(conn).await? });
        *self.last() = Last { flow: Some((Instant::now(), Arc::clone(&flow))), counting: None };
        Ok(flow)
    }

    fn look(&self, now: Instant) -> Look {
        let mut last = self.last();
        let Some((at, flow)) = last.flow.clone().filter(|(at, _)| now.duration_since(*at) < GOOD) else {
            return Look::Count;
        };
        // Whoever could not count is followed by another.
        if now.duration_since(at) < FRESH || last.counting.is_some_and(|since| now.duration_since(since) < FRESH) {
            return Look::Show(flow);
        }
        last.counting = Some(now);
        Look::ShowAndCount(flow)
    }

    async fn count_again(self, pool: Pool) {
        let counted: anyhow::Result<_> = async { Ok(self.count(&mut *pool.get().await?).await?) }.await;
        if let Err(error) = counted {
            tracing::debug!(error = format!("{error:#}"), "orders can't be counted now");
        }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_shown_and_counted_again_by_one_of_those_who_look() {
        let (counted, at) = (Counted::default(), Instant::now());
        let looked = |after: Duration| match counted.look(at + after) {
            Look::Show(_) => "show",
            Look::ShowAndCount(_) => "show and count",
            Look::Count => "count",
        };
        assert_eq!(looked(Duration::ZERO), "count");
        let flow = Arc::new(Flow { at: Utc::now(), now: Now::default(), hour: Vec::new(), cancelled: Vec::new() });
        counted.last().flow = Some((at, flow));
        let second = Duration::from_secs(1);
        assert_eq!([looked(second), looked(FRESH), looked(FRESH + second)], ["show", "show and count", "show"]);
        assert_eq!([looked(FRESH * 2), looked(GOOD)], ["show and count", "count"]);
    }
}
