//! Tries a dead letter without effect: the service's own reaction, in a transaction that is rolled back.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use metrics::NoopRecorder;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::content::{Header, Payload, shown};
use super::replay::handle;
use super::written::{self, RowChange, Rows};
use super::{BOUNDS, Draft, hold, http, record_of};
use crate::consumer::{Announced, DeadLetterSink, Outcome, ReactionError, Reactions, Work, panicked};
use crate::pool::Share;
use crate::trace::Span;

/// How long it may take in all.
const WITHIN: Duration = Duration::from_secs(10);

/// How long another connection is waited for.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What would come of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = DryRunVerdict)]
pub enum Verdict {
    /// The reaction would apply it.
    Applied,
    /// The reaction has seen it before.
    Duplicate,
    /// The reaction sees no need to act; `why` says why.
    Ignored,
    /// It fails; `why` says of what.
    Fails,
}

/// What would be written to a table.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = DryRunTable)]
pub struct TableChange {
    /// How much.
    #[serde(flatten)]
    pub counts: RowCounts,
    /// The rows, at most 20. None of the outbox, whose are told as events.
    pub changes: Vec<RowChange>,
    /// Whether these are all: of a large table none are shown.
    pub all_shown: bool,
}

/// How many rows would be written to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema, QueryableByName)]
#[schema(as = DryRunCounts)]
pub struct RowCounts {
    /// The table; of a partitioned one the whole.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// How many rows would be inserted.
    #[diesel(sql_type = BigInt)]
    pub inserted: i64,
    /// How many would be updated.
    #[diesel(sql_type = BigInt)]
    pub updated: i64,
    /// How many would be deleted.
    #[diesel(sql_type = BigInt)]
    pub deleted: i64,
}

/// An event that would be announced. Its id and its time are new at each try.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DryRunEvent)]
pub struct WouldAnnounce {
    /// `ce_type`, if it has one.
    pub event_type: Option<String>,
    /// The topic.
    pub topic: String,
    /// The record's key.
    pub key: String,
    /// Its headers, without secrets.
    pub headers: Vec<Header>,
    /// Its value.
    pub payload: Payload,
}

/// What came of a dry run.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!(http::examples::dry_run()))]
pub struct DryRun {
    /// What would come of the event.
    pub outcome: Verdict,
    /// Why it is ignored or fails.
    pub why: Option<String>,
    /// Whether it failed for a reason that passes, as a lock that somebody holds: then it says nothing of the event.
    pub may_pass: bool,
    /// How many of its key a replay handles before it. They were left out here, and may change what comes.
    pub ahead: i64,
    /// What would be written, by table.
    pub rows: Vec<TableChange>,
    /// What would be announced, in order.
    pub events: Vec<WouldAnnounce>,
}

impl DryRun {
    fn failed(error: &anyhow::Error, may_pass: bool, ahead: i64) -> Self {
        let (outcome, why) = (Verdict::Fails, Some(format!("{error:#}")));
        Self { outcome, why, may_pass, ahead, rows: Vec::new(), events: Vec::new() }
    }
}

/// How every dry run ends: undone.
enum Undone {
    Tried(Option<DryRun>),
    Failed(Error),
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Tries the letter, changed as the draft says. It takes the locks that a replay takes, for a bounded time. None if there is no
/// such letter.
pub(super) async fn dry_run<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    id: i64,
    draft: Draft,
) -> Result<Option<DryRun>, ReactionError> {
    let mut conn = work.upkeep.of(Share::Requests).get().await?;
    let tried = conn.transaction::<(), Undone, _>(async |conn| Err(attempt(work, conn, id, draft).await));
    let Ok(tried) = timeout(WITHIN, tried).await else {
        // The transaction ends with its connection, which is closed.
        return Ok(Some(DryRun::failed(&anyhow::anyhow!("it took longer than {} s", WITHIN.as_secs()), true, 0)));
    };
    match tried {
        Ok(()) | Err(Undone::Tried(None)) => Ok(None),
        Err(Undone::Tried(Some(dry_run))) => {
            let outcome = if dry_run.outcome == Verdict::Fails { "fails" } else { "goes_through" };
            metrics::counter!("dead_letter_dry_runs_total", "outcome" => outcome).increment(1);
            Ok(Some(dry_run))
        }
        Err(Undone::Failed(error)) => Err(error.into()),
    }
}

async fn attempt<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    conn: &mut AsyncPgConnection,
    id: i64,
    draft: Draft,
) -> Undone {
    let mut ahead = 0;
    match tried(work, conn, id, draft, &mut ahead).await {
        Ok(dry_run) => Undone::Tried(dry_run),
        Err(ReactionError::Permanent(error)) => Undone::Tried(Some(DryRun::failed(&error, false, ahead))),
        Err(ReactionError::Transient(error)) => Undone::Tried(Some(DryRun::failed(&error, true, ahead))),
    }
}

async fn tried<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    conn: &mut AsyncPgConnection,
    id: i64,
    draft: Draft,
    ahead: &mut i64,
) -> Result<Option<DryRun>, ReactionError> {
    conn.batch_execute(BOUNDS).await?;
    let Some((letter, mut record)) = record_of(conn, id).await? else { return Ok(None) };
    draft.apply(&mut record);
    hold(conn, &letter.consumer, &letter.topic, &letter.key).await?;
    *ahead = super::show::queue(conn, &letter).await?.ahead;
    let (before, mark) = (changes(conn).await?, work.sink.mark(conn).await?);
    let span = Span::begin(record.context());
    let handled = AssertUnwindSafe(handle(&*work.reactions, conn, &record, span.context()));
    let outcome = Unmeasured(handled.catch_unwind().boxed()).await.unwrap_or_else(panicked)?;
    // What would fail at the commit fails here.
    conn.batch_execute("set constraints all immediate").await?;
    let (counted, events) = (since(before, changes(conn).await?), work.sink.announced(conn, mark).await?);
    let rows = with_rows(work, conn, counted).await?;
    let (outcome, why) = match outcome {
        Outcome::Applied => (Verdict::Applied, None),
        Outcome::Ignored(why) => (Verdict::Ignored, Some(why.to_string())),
        _ => (Verdict::Duplicate, None),
    };
    let events = events.into_iter().map(WouldAnnounce::from).collect();
    Ok(Some(DryRun { outcome, why, may_pass: false, ahead: *ahead, rows, events }))
}

/// The rows of what was counted. Without another connection, which sees them as they were, there are only the counts.
async fn with_rows<R: Reactions, S: DeadLetterSink>(
    work: &Work<R, S>,
    conn: &mut AsyncPgConnection,
    counted: Vec<RowCounts>,
) -> Result<Vec<TableChange>, ReactionError> {
    let mut found = match timeout(A_MOMENT, work.upkeep.of(Share::Requests).get()).await {
        Ok(Ok(mut outside)) => written::rows(conn, &mut outside, work.sink.outbox()).await?,
        _ => BTreeMap::new(),
    };
    let with_rows = |counts: RowCounts| {
        let Rows { changes, is_whole } = found.remove(&counts.table).unwrap_or_default();
        TableChange { counts, changes, all_shown: is_whole }
    };
    Ok(counted.into_iter().map(with_rows).collect())
}

/// Work that counts nothing in metrics, since nothing comes of it.
struct Unmeasured<'a, T>(BoxFuture<'a, T>);

impl<T> Future for Unmeasured<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        metrics::with_local_recorder(&NoopRecorder, || self.0.as_mut().poll(context))
    }
}

/// What this session has written and not yet told the statistics of, which may be more than this transaction's.
async fn changes(conn: &mut AsyncPgConnection) -> QueryResult<Vec<RowCounts>> {
    diesel::sql_query(
        "select coalesce((select parent.relname from pg_inherits join pg_class parent on parent.oid = inhparent
                where inhrelid = written.relid), written.relname)::text as \"table\",
            sum(n_tup_ins)::bigint as inserted, sum(n_tup_upd)::bigint as updated, sum(n_tup_del)::bigint as deleted
         from pg_stat_xact_user_tables written
         where n_tup_ins + n_tup_upd + n_tup_del > 0 group by 1 order by 1",
    )
    .load(conn)
    .await
}

fn since(before: Vec<RowCounts>, after: Vec<RowCounts>) -> Vec<RowCounts> {
    let less = |mut change: RowCounts| {
        if let Some(known) = before.iter().find(|known| known.table == change.table) {
            change.inserted -= known.inserted;
            change.updated -= known.updated;
            change.deleted -= known.deleted;
        }
        change
    };
    let is_one = |change: &RowCounts| change.inserted + change.updated + change.deleted > 0;
    after.into_iter().map(less).filter(is_one).collect()
}

impl From<Announced> for WouldAnnounce {
    fn from(announced: Announced) -> Self {
        let Announced { topic, key, headers, value } = announced;
        let event_type = headers.iter().find(|(name, _)| name == "ce_type").map(|(_, value)| value.clone());
        Self { event_type, topic, key, headers: shown(headers), payload: Payload::of(Some(&value)) }
    }
}
