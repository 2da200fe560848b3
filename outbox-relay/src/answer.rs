//! Bounded waits for the database. TCP alone would wait for a quarter of an hour on a connection that was cut without a
//! word, and for ever on a server whose processes are frozen.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error, QueryResult};
use tokio::time::timeout;

/// The limit for statements that PostgreSQL answers at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// The limit for all others: somewhat longer than PostgreSQL's own `statement_timeout`.
const STATEMENT: Duration = Duration::from_secs(35);

/// Awaits a statement that is answered at once. The session is of no use if it isn't.
pub(crate) async fn answered<T>(answer: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
    within(AT_ONCE, answer).await
}

/// Awaits a statement. The session is of no use if no answer comes.
pub(crate) async fn in_time<T>(answer: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
    within(STATEMENT, answer).await
}

async fn within<T>(limit: Duration, answer: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
    timeout(limit, answer).await.map_err(|_| {
        let told = format!("no answer within {} s", limit.as_secs());
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(told))
    })?
}
