//! Waits for the database, not for ever: TCP alone would wait for a quarter of an hour on a connection that died without a
//! word, and for ever on a server whose processes stand still.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error, QueryResult};
use tokio::time::timeout;

/// For what PostgreSQL answers at once.
const AT_ONCE: Duration = Duration::from_secs(5);
/// For everything else: somewhat longer than PostgreSQL itself lets a statement run.
const STATEMENT: Duration = Duration::from_secs(35);

/// An answer that comes at once. The session is of no use when it doesn't.
pub(crate) async fn answered<T>(answer: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
    within(AT_ONCE, answer).await
}

/// A statement's answer. The session is of no use when it doesn't come.
pub(crate) async fn in_time<T>(answer: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
    within(STATEMENT, answer).await
}

async fn within<T>(limit: Duration, answer: impl Future<Output = QueryResult<T>>) -> QueryResult<T> {
    timeout(limit, answer).await.map_err(|_| {
        let told = format!("no answer within {} s", limit.as_secs());
        Error::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(told))
    })?
}
