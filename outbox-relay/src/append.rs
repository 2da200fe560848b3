//! Appending to the outbox, which is all that a service does with it.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, Binary, Json, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::consumer::ReactionError;
use service_kit::http::Problem;
use uuid::Uuid;

use crate::headers::HeaderJson;

/// Kafka's default `max.message.bytes`: what a topic takes at most, framing included, unless it was created otherwise.
pub const DEFAULT_TOPIC_BYTES: usize = 1_048_588;

/// A record batch's own header, in the format that Kafka has had since 0.11.
const BATCH_FRAMING: usize = 61;
/// Lengths and deltas around one record, at their longest as varints.
const RECORD_FRAMING: usize = 32;
/// Two lengths around a header, at their longest.
const HEADER_FRAMING: usize = 10;
/// The plain `traceparent` header that the relay may add.
const TRACEPARENT_BYTES: usize = 11 + 55 + HEADER_FRAMING;

/// An event to be published once the transaction that appends it has committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The id by which consumers recognise duplicates. Consumers see it only if a header carries it.
    pub event_id: Uuid,
    /// The topic it goes to.
    pub topic: String,
    /// The record's key. Rows of one topic and key are published in the order of append.
    pub key: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The record's value.
    pub payload: Vec<u8>,
}

impl NewRow {
    /// A row of an encoded event, whose headers have names that are known when it is built.
    pub fn new(
        event_id: Uuid,
        topic: &'static str,
        key: String,
        headers: Vec<(&'static str, String)>,
        payload: Vec<u8>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { event_id, topic: topic.to_owned(), key, headers, payload }
    }

    /// The most bytes that a topic can count for this row when it is alone in its batch, uncompressed.
    pub fn record_bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_FRAMING).sum();
        BATCH_FRAMING + RECORD_FRAMING + TRACEPARENT_BYTES + self.key.len() + headers + self.payload.len()
    }
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The row is larger than its topic takes. Once appended, it would hold up the later rows of its key.
    #[error("event {event_id} for topic {topic} would take {bytes} bytes and the limit is {limit}")]
    TooLarge {
        /// The row's `event_id`.
        event_id: Uuid,
        /// The row's topic.
        topic: String,
        /// The most bytes that the topic can count for the row.
        bytes: usize,
        /// The topic's limit in bytes.
        limit: usize,
    },
    /// PostgreSQL failed or refused the statement; the transaction can't go on.
    #[error(transparent)]
    Database(#[from] diesel::result::Error),
}

/// Appends one row in the caller's transaction. See [`append_all`].
///
/// # Errors
/// [`AppendError::TooLarge`] when the row is over its topic's limit, [`AppendError::Database`] when the insert fails.
pub async fn append(conn: &mut AsyncPgConnection, row: NewRow) -> Result<(), AppendError> {
    append_all(conn, vec![row]).await
}

/// Appends rows, in order, in the caller's transaction, with one statement whatever their number.
///
/// Before it, the transaction must have locked the root row of every key that it appends for: only then is a key's id
/// order its commit order, on which the relay builds. Does nothing when there are no rows. The connection is borrowed as
/// shared, so that other statements of the transaction can be under way meanwhile. The limit of each topic is taken to be
/// [`DEFAULT_TOPIC_BYTES`]; see [`append_all_within`] for others.
///
/// # Errors
/// [`AppendError::TooLarge`] when a row is over its topic's limit, [`AppendError::Database`] when the insert fails. Then no row
/// is appended.
pub async fn append_all(conn: &AsyncPgConnection, rows: Vec<NewRow>) -> Result<(), AppendError> {
    append_all_within(conn, rows, DEFAULT_TOPIC_BYTES).await
}

/// [`append_all`] for topics with a `max.message.bytes` of their own.
///
/// # Errors
/// As [`append_all`].
pub async fn append_all_within(
    mut conn: &AsyncPgConnection,
    rows: Vec<NewRow>,
    limit: usize,
) -> Result<(), AppendError> {
    if rows.is_empty() {
        return Ok(());
    }
    check_sizes(&rows, limit)?;
    InsertRows::new(&rows).execute(&mut conn).await?;
    count(&rows);
    Ok(())
}

/// What [`append_all`] executes, as a part of a larger statement. PostgreSQL carries the parts of a statement out in an order
/// of its own, so the keys' root rows must be locked by then. They may be new ones of the same statement only if nobody else
/// can know the keys yet, as where their ids were just drawn.
///
/// # Errors
/// A row is too large.
pub fn appending(rows: &[NewRow]) -> Result<InsertRows<'_>, AppendError> {
    check_sizes(rows, DEFAULT_TOPIC_BYTES)?;
    count(rows);
    Ok(InsertRows::new(rows))
}

/// Counts what is appended. A transaction that fails at its commit and is repeated counts twice.
fn count(rows: &[NewRow]) {
    for row in rows {
        // A copy of a dead letter has the type that a stranger may have made up.
        let known = row.headers.iter().find(|(name, _)| name == "ce_type").filter(|_| !row.topic.ends_with(".dlq"));
        let kind = known.map_or("none", |(_, kind)| kind).to_owned();
        metrics::counter!("outbox_appended_total", "type" => kind).increment(1);
    }
}

fn check_sizes(rows: &[NewRow], limit: usize) -> Result<(), AppendError> {
    match rows.iter().find(|row| row.record_bytes() > limit) {
        Some(row) => {
            let (event_id, topic, bytes) = (row.event_id, row.topic.clone(), row.record_bytes());
            Err(AppendError::TooLarge { event_id, topic, bytes, limit })
        }
        None => Ok(()),
    }
}

/// One statement for any number of rows, so that it is prepared once and cached (an insert from a slice never is).
#[derive(Default)]
pub struct InsertRows<'a> {
    event_ids: Vec<Uuid>,
    topics: Vec<&'a str>,
    keys: Vec<&'a str>,
    headers: Vec<HeaderJson<'a>>,
    payloads: Vec<&'a [u8]>,
}

impl<'a> InsertRows<'a> {
    fn new(rows: &'a [NewRow]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.event_ids.push(row.event_id);
            columns.topics.push(&row.topic);
            columns.keys.push(&row.key);
            columns.headers.push(HeaderJson(&row.headers));
            columns.payloads.push(&row.payload);
        }
        columns
    }
}

impl QueryFragment<Pg> for InsertRows<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("insert into outbox (event_id, topic, key, headers, payload) select * from unnest(");
        out.push_bind_param::<Array<diesel::sql_types::Uuid>, _>(&self.event_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.topics)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.keys)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Json>, _>(&self.headers)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.payloads)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for InsertRows<'_> {
    type QueryId = InsertRows<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Conn> diesel::RunQueryDsl<Conn> for InsertRows<'_> {}

impl From<AppendError> for Problem {
    /// A row is over the limit because the request asked for too much at once.
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { bytes, limit, .. } => {
                Self::too_large(format!("What this would announce takes {bytes} bytes; the limit is {limit}."))
            }
            AppendError::Database(error) => error.into(),
        }
    }
}

impl From<AppendError> for ReactionError {
    /// A retry doesn't help: the row would be over the limit again.
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => Self::permanent(error),
            AppendError::Database(error) => error.into(),
        }
    }
}
