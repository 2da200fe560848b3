//! What happened to an order: every event that was heard or said of it, and where the order stood after it.

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::consumer::Envelope;
use shared_events::{Event, EventId, OrderId};
use uuid::Uuid;

use super::Root;
use crate::SOURCE;
use crate::domain::Status;
use crate::schema::{order_history, orders};

/// One event of an order's history.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, QueryableByName, Selectable)]
#[diesel(table_name = order_history, check_for_backend(diesel::pg::Pg))]
pub struct Entry {
    /// The order.
    pub order_id: Uuid,
    /// Its place in the order's history, from 1, without a gap.
    pub position: i64,
    /// `ce_id`.
    pub event_id: Uuid,
    /// `ce_type`.
    pub event_type: String,
    /// `ce_source`.
    pub source: String,
    /// `ce_time`.
    pub event_time: DateTime<Utc>,
    /// The event that this service said it because of; none for what was heard, asked for or due.
    pub because_of: Option<Uuid>,
    /// Where the order stood before it; none for its first event.
    pub status_before: Option<String>,
    /// Where the order stood after it, by [`Status::name`].
    pub status: String,
    /// Why it was being cancelled then.
    pub reason: Option<String>,
    /// Why it changed nothing, if it did.
    pub ignored: Option<String>,
    /// When this service recorded it.
    pub recorded_at: DateTime<Utc>,
}

/// The order's history after that position, oldest first.
///
/// # Errors
/// The database's.
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

/// How far an order is, as its streams need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last position of its history.
    pub recorded: i64,
    /// Whether it has ended.
    pub ended: bool,
}

/// How far the order's history is; none when there is no such order.
///
/// # Errors
/// The database's.
pub async fn head(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Option<Head>> {
    let row = orders::table.find(order_id.0).select((orders::recorded, orders::status));
    let found: Option<(i64, String)> = row.first(conn).await.optional()?;
    Ok(found.map(|(recorded, status)| Head { recorded, ended: Status::is_end(&status) }))
}

/// The oldest transaction of this database that may still write: everything written by older ones can be seen.
///
/// A snapshot's own `xmin` counts the transactions of every database of the server, so that a long one in any of them
/// would have each look read all that was written since. Transactions of other roles have no number here; none of them
/// writes histories. The snapshot is older than what is seen of the sessions: who has ended in between was counted.
///
/// # Errors
/// The database's.
pub async fn oldest_open(conn: &mut AsyncPgConnection) -> QueryResult<i64> {
    // sessions tell the lower half of a number; which half is above it is known from the snapshot's
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

/// The orders that have something in their history from that transaction or a later one, with the first position of it.
/// Numbers that this server hasn't given out yet are those of another one, from which the database was restored.
///
/// # Errors
/// The database's.
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
///
/// # Errors
/// The database's.
pub async fn from(conn: &mut AsyncPgConnection, places: &[(Uuid, i64)]) -> QueryResult<Vec<Entry>> {
    let (ids, positions): (Vec<Uuid>, Vec<i64>) = places.iter().copied().unzip();
    diesel::sql_query(
        "select h.* from unnest($1, $2) as wanted(order_id, position) \
         join order_history h on h.order_id = wanted.order_id and h.position >= wanted.position \
         order by h.order_id, h.position",
    )
    .bind::<Array<diesel::sql_types::Uuid>, _>(ids)
    .bind::<Array<BigInt>, _>(positions)
    .load(conn)
    .await
}

/// Rows to be appended to an order's history. One statement for any number of them, so that it stays prepared.
pub(super) struct Append {
    order_id: Uuid,
    recorded_at: DateTime<Utc>,
    status: &'static str,
    reason: Option<&'static str>,
    ignored: Option<String>,
    positions: Vec<i64>,
    event_ids: Vec<Uuid>,
    event_types: Vec<String>,
    sources: Vec<String>,
    event_times: Vec<DateTime<Utc>>,
    because_of: Vec<Option<Uuid>>,
    statuses_before: Vec<Option<&'static str>>,
}

impl Append {
    /// Nothing yet, of that order as it stands now.
    pub fn to(root: &Root) -> Self {
        let status = root.progress.status;
        Self {
            order_id: root.progress.order_id.0,
            recorded_at: root.now,
            status: status.name(),
            reason: status.reason().map(|reason| reason.as_str()),
            ignored: None,
            positions: vec![],
            event_ids: vec![],
            event_types: vec![],
            sources: vec![],
            event_times: vec![],
            because_of: vec![],
            statuses_before: vec![],
        }
    }

    /// An event that was heard.
    pub fn heard(mut self, root: &mut Root, envelope: &Envelope) -> Self {
        self.sources.push(envelope.source.clone());
        self.push(root, envelope.id, envelope.event_type.clone(), envelope.time, None)
    }

    /// An event that was heard and changed nothing.
    pub fn ignored(mut self, root: &mut Root, envelope: &Envelope, why: String) -> Self {
        self.ignored = Some(why);
        self.heard(root, envelope)
    }

    /// An event that this service says.
    pub fn said(mut self, root: &mut Root, event: &Event, id: EventId, because_of: Option<EventId>) -> Self {
        self.sources.push(SOURCE.to_owned());
        let now = root.now;
        self.push(root, id.0, event.type_name().to_owned(), now, because_of.map(|cause| cause.0))
    }

    /// The first event of a change is the one that moves the status; those that follow from it find it moved.
    fn push(
        mut self,
        root: &mut Root,
        id: Uuid,
        event_type: String,
        time: DateTime<Utc>,
        because_of: Option<Uuid>,
    ) -> Self {
        let before = if self.positions.is_empty() { root.status_before } else { Some(root.progress.status) };
        root.recorded += 1;
        self.positions.push(root.recorded);
        self.event_ids.push(id);
        self.event_types.push(event_type);
        self.event_times.push(time);
        self.because_of.push(because_of);
        self.statuses_before.push(before.map(Status::name));
        self
    }
}

impl QueryFragment<Pg> for Append {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "insert into order_history (order_id, recorded_at, status, reason, ignored, \
             position, event_id, event_type, source, event_time, because_of, status_before) select ",
        );
        out.push_bind_param::<diesel::sql_types::Uuid, _>(&self.order_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Timestamptz, _>(&self.recorded_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.status)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.reason)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&self.ignored)?;
        out.push_sql(", * from unnest(");
        out.push_bind_param::<Array<BigInt>, _>(&self.positions)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<diesel::sql_types::Uuid>, _>(&self.event_ids)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.event_types)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.sources)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Timestamptz>, _>(&self.event_times)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<diesel::sql_types::Uuid>>, _>(&self.because_of)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.statuses_before)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for Append {
    type QueryId = Self;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Conn> diesel::RunQueryDsl<Conn> for Append {}
