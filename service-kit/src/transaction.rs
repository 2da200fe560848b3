//! A transaction whose first statements go out together with its `begin`, and whose last one goes out with its `commit`: each
//! wait for an answer that it saves is a round trip to PostgreSQL, and two switches between threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use diesel::QueryResult;
use diesel::connection::TransactionDepthChange;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection, TransactionManager};

use crate::trace::{self, Kind, Told, semconv};

/// What diesel-async knows of transactions on a connection.
type Manager = diesel_async::AnsiTransactionManager;

/// A prepared statement like those before it, for which it waits where they are not prepared yet. As plain text it would
/// overtake them.
#[derive(QueryId)]
struct Commit;

impl QueryFragment<Pg> for Commit {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("commit");
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for Commit {}

/// A transaction of one connection. Dropped before [`Self::end`], it leaves a connection that counts as broken.
///
/// Statements of [`Self::conn`] that are awaited together are sent in their order without waiting for each other's answers:
///
/// ```
/// # use diesel::QueryResult;
/// # use diesel_async::{AsyncPgConnection, RunQueryDsl};
/// # use futures_util::future::join;
/// # use service_kit::transaction::Transaction;
/// # async fn example(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
/// let transaction = Transaction::on(conn)?;
/// let (begun, asked) = join(transaction.begin(), diesel::sql_query("select 1").execute(&mut transaction.conn())).await;
/// transaction.end(begun.and(asked)).await
/// # }
/// ```
#[must_use]
pub struct Transaction<'a> {
    conn: &'a mut AsyncPgConnection,
    commit_sent: AtomicBool,
    /// The work that it is a part of, and since when.
    span: Option<(trace::Context, SystemTime)>,
}

impl<'a> Transaction<'a> {
    /// Takes a connection that is in no transaction. Nothing is sent before [`Self::begin`].
    ///
    /// # Errors
    /// It is in one, or broken.
    pub fn on(conn: &'a mut AsyncPgConnection) -> QueryResult<Self> {
        let state = Manager::transaction_manager_status_mut(conn).transaction_state()?;
        if state.transaction_depth().is_some() {
            return Err(Error::AlreadyInTransaction);
        }
        // Before `begin` is sent: whoever is dropped meanwhile must not leave a connection that looks unused.
        state.change_transaction_depth(TransactionDepthChange::IncreaseDepth)?;
        let span = trace::current().map(|of| (of, SystemTime::now()));
        Ok(Self { conn, commit_sent: AtomicBool::new(false), span })
    }

    /// Begins it. What is awaited behind it in one `join` goes out with it: statements that read, or that write only `where
    /// current_setting('transaction_deferrable') = 'on'`. Should `begin` itself fail, as when somebody cancels it, others
    /// would write outside of any transaction. (`deferrable` means something to serializable transactions alone, so it can
    /// be the mark of one that has begun.)
    ///
    /// # Errors
    /// PostgreSQL refuses or is gone.
    pub async fn begin(&self) -> QueryResult<()> {
        self.conn().batch_execute("begin deferrable").await
    }

    /// Like [`Self::begin`], for a transaction that waits for a lock no longer than this.
    ///
    /// # Errors
    /// PostgreSQL refuses or is gone.
    pub async fn begin_waiting(&self, at_most: Option<Duration>) -> QueryResult<()> {
        let Some(at_most) = at_most else { return self.begin().await };
        let begin = format!("begin deferrable; set local lock_timeout = {}", at_most.as_millis());
        self.conn().batch_execute(&begin).await
    }

    /// The connection, for statements that go out without waiting for each other.
    pub const fn conn(&self) -> &AsyncPgConnection {
        self.conn
    }

    /// The connection, for one statement after the other.
    pub const fn conn_mut(&mut self) -> &mut AsyncPgConnection {
        self.conn
    }

    /// Commits it; [`Self::end`] must follow. What is awaited before it in the same `join` goes out before it. Where that
    /// fails, PostgreSQL rolls back and the failure is told there, not here. It must be one statement: of several, one might
    /// not be sent at all, as when a value of it can't be written, and the others would be committed.
    ///
    /// # Errors
    /// PostgreSQL refuses or is gone.
    pub async fn commit(&self) -> QueryResult<()> {
        self.commit_sent.store(true, Ordering::Relaxed);
        diesel_async::RunQueryDsl::execute(Commit, &mut self.conn()).await.map(drop)
    }

    /// Commits what succeeded, unless it is committed, and rolls back what failed.
    ///
    /// # Errors
    /// The outcome's own; that of a commit that fails, or of a rollback.
    pub async fn end<T, E: From<Error>>(self, outcome: Result<T, E>) -> Result<T, E> {
        let span = self.span;
        let ended = self.end_untold(outcome).await;
        if let Some((of, since)) = span {
            let outcome = if ended.is_ok() { "committed" } else { "rolled_back" };
            trace::waited(of, since, SystemTime::now(), || {
                Told::new(Kind::Client, "transaction")
                    .with(semconv::DB_SYSTEM_NAME, "postgresql")
                    .with(semconv::OUTCOME, outcome)
            });
        }
        ended
    }

    async fn end_untold<T, E: From<Error>>(self, outcome: Result<T, E>) -> Result<T, E> {
        if self.commit_sent.load(Ordering::Relaxed) {
            // However it went, the transaction is over: a failed one was rolled back.
            let state = Manager::transaction_manager_status_mut(self.conn).transaction_state()?;
            state.change_transaction_depth(TransactionDepthChange::DecreaseDepth)?;
            return outcome;
        }
        match outcome {
            Ok(value) => {
                Manager::commit_transaction(self.conn).await?;
                Ok(value)
            }
            Err(error) => match Manager::rollback_transaction(self.conn).await {
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(failed) => Err(failed.into()),
            },
        }
    }
}
