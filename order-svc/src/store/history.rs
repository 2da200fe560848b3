//! The history of an order: each event it read or published, and its status after that.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::consumer::Envelope;
use service_kit::prepared;
use shared_events::{Event, EventId, OrderId};
use uuid::Uuid;

use super::Root;
use crate::SOURCE;
use crate::domain::Status;
use crate::schema::{order_history, orders};

#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = order_history, check_for_backend(diesel::pg::Pg))]
pub struct Entry {
    pub order_id: Uuid,
    /// Its place in the order's history, from 1, without a gap.
    pub position: i64,
    pub event_id: Uuid,
    pub event_type: String,
    pub source: String,
    pub event_time: DateTime<Utc>,
    /// The event that this service published it because of; none for what was read, requested or due.
    pub because_of: Option<Uuid>,
    /// None for its first event.
    pub status_before: Option<String>,
    /// The order's status after it, by [`Status::name`].
    pub status: String,
    /// Why it was being cancelled then.
    pub reason: Option<String>,
    /// Why it changed nothing, if it did.
    pub ignored: Option<String>,
    pub recorded_at: DateTime<Utc>,
}

/// The order's history after that position, oldest first.
pub async fn after(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    position: i64,
    limit: i64,
) -> QueryResult<Vec<Entry>> {
    order_history::table
        .filter(order_history::order_id.eq(order_id.0).and(order_history::position.gt(position)))
        .order(order_history::position)
        .limit(limit)
        .select(Entry::as_select())
        .load(conn)
        .await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedSoFar {
    /// The last position of its history.
    pub recorded: i64,
    pub ended: bool,
}

/// How far the order's history goes; none if there is no such order.
pub async fn head(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Option<RecordedSoFar>> {
    let row = orders::table.find(order_id.0).select((orders::recorded, orders::status));
    let found: Option<(i64, String)> = row.first(conn).await.optional()?;
    Ok(found.map(|(recorded, status)| RecordedSoFar { recorded, ended: Status::is_end(&status) }))
}

/// The oldest transaction of this database that may still write: everything written by older ones can be seen.
///
/// A snapshot's own `xmin` counts the transactions of every database of the server: one long transaction in any of them
/// would have each look read everything that was written since. Transactions of other roles show no number here, but
/// none of them writes histories. The snapshot is older than the list of sessions: a transaction that ended in between
/// is not in the list, and the next statement sees what it wrote.
pub async fn oldest_open(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    // sessions show the lower half of a transaction's number; the snapshot's number tells the upper half
    const OLDEST: &str = "select now.xmax - coalesce(max(open.age) filter (where open.age > 0), 0) as number \
        from (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xmax) now \
        left join lateral ( \
            select (now.xmax - backend_xid::text::bigint + 2147483648) % 4294967296 - 2147483648 as age \
            from pg_stat_activity where datname = current_database() and backend_xid is not null) open on true \
        group by now.xmax";
    Ok(diesel::sql_query(OLDEST).get_result::<Oldest>(conn).await?.number)
}

#[derive(QueryableByName)]
struct Oldest {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// The orders with history entries of that transaction or a later one, with the first position of each. Numbers that
/// this server hasn't given out yet are those of another one, from which the database was restored.
pub async fn changed_since(conn: &mut AsyncPgConnection, transaction: i64) -> QueryResult<Vec<(Uuid, i64)>> {
    let given_out = sql::<BigInt>("pg_snapshot_xmax(pg_current_snapshot())::text::bigint");
    order_history::table
        .filter(order_history::written_by.ge(transaction).and(order_history::written_by.lt(given_out)))
        .group_by(order_history::order_id)
        .select((order_history::order_id, diesel::dsl::min(order_history::position).assume_not_null()))
        .load(conn)
        .await
}

/// The histories of these orders from these positions on, order by order, oldest first.
pub async fn from(conn: &mut AsyncPgConnection, places: &[(Uuid, i64)]) -> QueryResult<Vec<Entry>> {
    let (ids, positions): (Vec<Uuid>, Vec<i64>) = places.iter().copied().unzip();
    diesel::sql_query(
        "select h.* from unnest($1, $2) as wanted(order_id, position) \
         join order_history h on h.order_id = wanted.order_id and h.position >= wanted.position \
         order by h.order_id, h.position",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<BigInt>, _>(positions)
    .load(conn)
    .await
}

#[derive(Clone, Debug)]
pub(super) struct NewEntry {
    order_id: Uuid,
    position: i64,
    event_id: Uuid,
    event_type: String,
    source: String,
    event_time: DateTime<Utc>,
    because_of: Option<Uuid>,
    status_before: Option<&'static str>,
    status: &'static str,
    reason: Option<&'static str>,
    pub ignored: Option<String>,
}

impl NewEntry {
    pub fn heard(root: &mut Root, before: Option<Status>, envelope: &Envelope) -> Self {
        let Envelope { id, event_type, source, time, .. } = envelope.clone();
        Self { event_type, source, ..Self::next(root, before, id, time) }
    }

    pub fn said(
        root: &mut Root,
        before: Option<Status>,
        event: &Event,
        id: EventId,
        at: DateTime<Utc>,
        because_of: Option<EventId>,
    ) -> Self {
        let (event_type, source) = (event.type_name().to_owned(), SOURCE.to_owned());
        let because_of = because_of.map(|cause| cause.0);
        Self { event_type, source, because_of, ..Self::next(root, before, id.0, at) }
    }

    /// The next entry of an order, as it stands now.
    fn next(root: &mut Root, before: Option<Status>, event_id: Uuid, event_time: DateTime<Utc>) -> Self {
        root.recorded += 1;
        let status = root.progress.status;
        Self {
            order_id: root.progress.order_id.0,
            position: root.recorded,
            event_id,
            event_type: String::new(),
            source: String::new(),
            event_time,
            because_of: None,
            status_before: before.map(Status::name),
            status: status.name(),
            reason: status.reason().map(|reason| reason.as_str()),
            ignored: None,
        }
    }
}

/// Appends to histories, in order.
pub(super) async fn append(mut conn: &AsyncPgConnection, now: DateTime<Utc>, entries: &[NewEntry]) -> QueryResult<()> {
    match entries {
        [] => Ok(()),
        _ => appending(now, entries).execute(&mut conn).await.map(drop),
    }
}

/// The statement that [`append`] executes.
pub(super) fn appending(now: DateTime<Utc>, entries: &[NewEntry]) -> Append<'_> {
    let mut rows = Append { recorded_at: now, ..Append::default() };
    for entry in entries {
        rows.order_ids.push(entry.order_id);
        rows.positions.push(entry.position);
        rows.event_ids.push(entry.event_id);
        rows.event_types.push(&entry.event_type);
        rows.sources.push(&entry.source);
        rows.event_times.push(entry.event_time);
        rows.because_of.push(entry.because_of);
        rows.statuses_before.push(entry.status_before);
        rows.statuses.push(entry.status);
        rows.reasons.push(entry.reason);
        rows.ignored.push(entry.ignored.as_deref());
    }
    rows
}

prepared! {
    #[derive(Default)]
    pub(super) struct Append<'a> {
        recorded_at: DateTime<Utc> as Timestamptz,
        order_ids: Vec<Uuid> as Array<SqlUuid>,
        positions: Vec<i64> as Array<BigInt>,
        event_ids: Vec<Uuid> as Array<SqlUuid>,
        event_types: Vec<&'a str> as Array<Text>,
        sources: Vec<&'a str> as Array<Text>,
        event_times: Vec<DateTime<Utc>> as Array<Timestamptz>,
        because_of: Vec<Option<Uuid>> as Array<Nullable<SqlUuid>>,
        statuses_before: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        statuses: Vec<&'a str> as Array<Text>,
        reasons: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        ignored: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "insert into order_history (recorded_at, order_id, position, event_id, event_type, source, event_time, because_of, \
         status_before, status, reason, ignored) select ?, * from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
}
