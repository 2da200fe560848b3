//! The statements that were sent and not answered yet.

use std::collections::VecDeque;
use std::future::ready;

use diesel::result::QueryResult;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task::unconstrained;

use crate::sql::ReadRow;

/// What a statement found or did.
pub(crate) enum Answer {
    /// Pending rows, in id order, and the epoch of the term in which they were asked for.
    Rows { rows: Vec<ReadRow>, epoch: u64 },
    /// The transactions that may still fill a gap.
    Holders(Vec<String>),
    /// The acknowledged rows whose deletion was sent are deleted.
    Retired,
    /// Rows of parked keys were moved.
    Parked,
}

/// PostgreSQL answers the statements of a session in the order in which they were sent. They are awaited in this order
/// too: a term that has not heard of a deletion yet knows that a read sent before it may still return the deleted rows.
#[derive(Default)]
pub(super) struct Asked(VecDeque<BoxFuture<'static, QueryResult<Answer>>>);

impl Asked {
    /// Sends a statement, which must be prepared already: one that is not waits for its own preparation, and another
    /// could be sent before it.
    pub fn send(&mut self, statement: impl Future<Output = QueryResult<Answer>> + Send + 'static) {
        // The first poll sends it. Tokio's budget must not put that off.
        let mut statement = unconstrained(statement).boxed();
        let answer = (&mut statement).now_or_never();
        self.0.push_back(answer.map_or(statement, |answer| ready(answer).boxed()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next answer; waits for ever if none is due. Cancelling it loses none.
    pub async fn next(&mut self) -> QueryResult<Answer> {
        let Some(statement) = self.0.front_mut() else { return std::future::pending().await };
        let answer = statement.await;
        self.0.pop_front();
        answer
    }
}
