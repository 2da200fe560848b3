//! How orders flow, counted once for all who look: counting takes longer the more orders an hour has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use service_kit::Pool;
use tokio::time::timeout;

use crate::store::figures::{self, Cancelled, Minute, Now};

/// What was counted so lately is shown as it is.
const FRESH: Duration = Duration::from_secs(3);
/// What was counted so lately is shown while it is counted again.
const GOOD: Duration = Duration::from_secs(15);

/// How long the first who looks waits.
const PATIENCE: Duration = Duration::from_secs(10);

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
pub struct Counted(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// With when its counting began.
    last: Mutex<Option<(Instant, Arc<Flow>)>>,
    /// Whoever counts has it.
    turn: tokio::sync::Mutex<()>,
}

/// What whoever looks is shown.
#[derive(Debug)]
enum Look {
    Fresh(Arc<Flow>),
    Good(Arc<Flow>),
    Old,
}

impl Counted {
    /// What was counted lately. If that was seconds ago, it is counted again meanwhile.
    ///
    /// # Errors
    /// Nothing was counted lately, and the database can't be read in time.
    pub async fn flow(&self, pool: &Pool) -> anyhow::Result<Arc<Flow>> {
        match self.look(Instant::now()) {
            Look::Fresh(flow) => Ok(flow),
            Look::Good(flow) => {
                tokio::spawn(self.clone().count_again(pool.clone()));
                Ok(flow)
            }
            Look::Old => timeout(PATIENCE, self.count(pool)).await.context("counting takes too long")?,
        }
    }

    /// Counts, or waits for whoever does.
    async fn count(&self, pool: &Pool) -> anyhow::Result<Arc<Flow>> {
        let _turn = self.0.turn.lock().await;
        match self.look(Instant::now()) {
            Look::Fresh(flow) => Ok(flow),
            Look::Good(_) | Look::Old => self.count_now(pool).await,
        }
    }

    async fn count_again(self, pool: Pool) {
        let Ok(_turn) = self.0.turn.try_lock() else { return };
        if let Err(error) = self.count_now(&pool).await {
            tracing::debug!(error = format!("{error:#}"), "orders can't be counted now");
        }
    }

    async fn count_now(&self, pool: &Pool) -> anyhow::Result<Arc<Flow>> {
        let (began, at) = (Instant::now(), Utc::now());
        let mut conn = pool.get().await?;
        let (now, hour) = (figures::now(&mut conn).await?, figures::last_hour(&mut conn).await?);
        let flow = Arc::new(Flow { at, now, hour, cancelled: figures::cancelled(&mut conn).await? });
        *self.last() = Some((began, Arc::clone(&flow)));
        Ok(flow)
    }

    fn look(&self, now: Instant) -> Look {
        match &*self.last() {
            Some((at, flow)) if now.duration_since(*at) < FRESH => Look::Fresh(Arc::clone(flow)),
            Some((at, flow)) if now.duration_since(*at) < GOOD => Look::Good(Arc::clone(flow)),
            _ => Look::Old,
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<(Instant, Arc<Flow>)>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use service_kit::testing::TestDb;

    use super::*;

    fn flow() -> Arc<Flow> {
        Arc::new(Flow { at: Utc::now(), now: Now::default(), hour: Vec::new(), cancelled: Vec::new() })
    }

    #[test]
    fn what_was_counted_is_good_for_seconds_and_then_old() {
        let (counted, at) = (Counted::default(), Instant::now());
        assert!(matches!(counted.look(at), Look::Old));
        *counted.last() = Some((at, flow()));
        assert!(matches!(counted.look(at + FRESH / 2), Look::Fresh(_)));
        assert!(matches!(counted.look(at + FRESH), Look::Good(_)));
        assert!(matches!(counted.look(at + GOOD), Look::Old));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_who_look_at_once_wait_for_one_who_counts() {
        let db = TestDb::new(&crate::migrations()).await;
        let counted = Counted::default();
        let looks = (0..20).map(|_| counted.flow(&db.pool));
        let flows: Vec<_> = futures_util::future::try_join_all(looks).await.unwrap();
        assert!(flows.iter().all(|flow| Arc::ptr_eq(flow, &flows[0])), "each has the same count");
    }
}
