//! Lanes that have work at once share a transaction, so that an event costs less the more there is to do. What fails in it is
//! tried by each lane for itself.

use std::sync::Arc;
use std::time::Duration;

use super::batch::Handler;
use super::lane::Work;
use super::{DeadLetterSink, Mode, Outcome, ReactionError, Reactions, Record};
use crate::gather::{Gather, Unfinished};

/// How long a transaction of several lanes waits for a lock that somebody else holds: no longer than those whose locks it holds
/// meanwhile. Then each lane goes on alone, and only the one that needs it waits.
const SHARED_LOCK_PATIENCE: Duration = Duration::from_millis(200);

/// A lane's batch in a transaction that others share.
pub(crate) type Together = Gather<Arc<[Record]>, Shared>;

/// What became of it.
pub(crate) enum Shared {
    Handled(Vec<Outcome>),
    /// It was the only one.
    Failed(ReactionError),
    /// The transaction failed for all that were in it, whosever fault that was.
    Undone,
}

impl<R: Reactions, S: DeadLetterSink> Work<R, S> {
    /// Handles a batch together with those of other lanes, unless it concerns nobody. None where it has to be handled alone.
    pub(super) async fn share(self: &Arc<Self>, batch: &Arc<[Record]>) -> Option<Result<Vec<Outcome>, ReactionError>> {
        let first = batch.first()?;
        // All records of a transaction are read in the same mode, and a topic that holds the current state changes seldom.
        if self.handle.mode(&first.place.topic) != Mode::Inbox {
            return None;
        }
        if let Some(outcomes) = self.handler(0).ok()?.pass_over(batch) {
            return Some(Ok(outcomes));
        }
        let handled = self.together.join_in(Arc::clone(batch), |batches| {
            let work = Arc::clone(self);
            async move { work.handle_together(&batches).await }
        });
        match handled.await {
            Ok(Shared::Handled(outcomes)) => Some(Ok(outcomes)),
            Ok(Shared::Failed(error)) => Some(Err(error)),
            Ok(Shared::Undone) | Err(Unfinished) => None,
        }
    }

    async fn handle_together(&self, batches: &[Arc<[Record]>]) -> Vec<Shared> {
        if let [batch] = batches {
            return vec![self.handle(batch, 0).await.map_or_else(Shared::Failed, Shared::Handled)];
        }
        match self.handle_all(batches).await {
            Ok(outcomes) => {
                count_shared("committed");
                metrics::histogram!("consumer_shared_records").record(outcomes.len() as f64);
                let mut outcomes = outcomes.into_iter();
                batches.iter().map(|batch| Shared::Handled(outcomes.by_ref().take(batch.len()).collect())).collect()
            }
            Err(error) => {
                count_shared("undone");
                tracing::debug!(error = %error, lanes = batches.len(), "a shared transaction failed: each lane goes on alone");
                batches.iter().map(|_| Shared::Undone).collect()
            }
        }
    }

    async fn handle_all(&self, batches: &[Arc<[Record]>]) -> Result<Vec<Outcome>, ReactionError> {
        let records: Vec<_> = batches.iter().flat_map(|batch| batch.iter()).collect();
        let mut conn = self.pool.get().await?;
        let handler = Handler { lock_patience: Some(SHARED_LOCK_PATIENCE), ..self.handler(0)? };
        let outcomes = handler.handle(&mut conn, Mode::Inbox, &records).await?;
        self.nudge(&outcomes);
        Ok(outcomes)
    }
}

/// Undone ones cost each of their lanes a transaction of its own.
fn count_shared(outcome: &'static str) {
    metrics::counter!("consumer_shared_transactions_total", "outcome" => outcome).increment(1);
}
