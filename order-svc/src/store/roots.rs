//! The root of an order's key: locked before anything is decided, and the counter of its events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::{prepared, timers};
use shared_events::{OrderId, SequenceCounter, Topic};
use uuid::Uuid;

use super::DEADLINE_TIMER;
use super::loaded::Loaded;
use super::rows::{RootRow, json};
use crate::domain::{Destination, LastSequences, Progress, Status, overdue_not_before};
use crate::schema::orders;

/// An order's row, locked until the transaction ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Root {
    pub progress: Progress,
    /// None if it was not loaded.
    pub destination: Option<Destination>,
    pub last_sequences: LastSequences,
    /// Counts changes.
    pub version: i64,
    /// Counts what was said on `orders.v1`.
    pub said: i64,
    /// Counts the entries of its history.
    pub recorded: i64,
    /// Since when it waits for [`Progress::waiting_for`].
    pub waiting_since: DateTime<Utc>,
    /// As it was loaded: what is saved follows from this and from [`Root::overdue_at`].
    pub(super) overdue_not_before: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    /// Whether its deadline is set, as far as its status tells.
    pub(super) has_deadline: bool,
    /// Whether its customer was forgotten.
    pub forgotten: bool,
}

impl Root {
    /// When the order will have waited longer than it should; none once it has ended.
    pub(super) fn overdue_at(&self) -> Option<DateTime<Utc>> {
        Some(self.waiting_since + self.progress.patience()?)
    }
}

impl SequenceCounter for Root {
    /// An order publishes on `orders.v1` alone.
    fn next_sequence(&mut self, _: Topic) -> i64 {
        self.said += 1;
        self.said
    }
}

/// Locks the rows of those orders that exist, in the order of their ids, so that two lanes can't deadlock.
pub(super) async fn lock(mut conn: &AsyncPgConnection, ids: &[Uuid]) -> QueryResult<Loaded> {
    if ids.is_empty() {
        return Ok(Loaded::new(DateTime::default(), BTreeMap::new()));
    }
    let rows: Vec<(RootRow, DateTime<Utc>)> = orders::table
        .filter(orders::id.eq_any(ids))
        .order(orders::id)
        .select((RootRow::as_select(), diesel::dsl::now.into_sql::<Timestamptz>()))
        .for_update()
        .load(&mut conn)
        .await?;
    // without an order nothing is decided
    let now = rows.iter().map(|(_, now)| *now).next().unwrap_or_default();
    let mut roots = BTreeMap::new();
    for (row, _) in rows {
        let progress = row.progress()?;
        let root = Root {
            has_deadline: progress.status == Status::Pending,
            forgotten: row.forgotten_at.is_some(),
            progress,
            destination: None,
            last_sequences: LastSequences {
                stock: row.stock_rank,
                payment: row.payment_rank,
                shipment: row.shipment_rank,
            },
            version: row.version,
            said: row.said,
            recorded: row.recorded,
            waiting_since: row.waiting_since,
            overdue_not_before: row.overdue_not_before,
            updated_at: row.updated_at,
        };
        roots.insert(OrderId(row.id), root);
    }
    Ok(Loaded::new(now, roots))
}

pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for root in changed(loaded) {
        let (status, waiting, overdue_at) = (root.progress.status, root.progress.waiting_for(), root.overdue_at());
        rows.ids.push(root.progress.order_id.0);
        rows.facts.push(json(&root.progress.facts)?);
        rows.stock_ranks.push(root.last_sequences.stock);
        rows.payment_ranks.push(root.last_sequences.payment);
        rows.shipment_ranks.push(root.last_sequences.shipment);
        rows.statuses.push(status.name());
        rows.reasons.push(status.reason().map(|reason| reason.as_str()));
        rows.versions.push(root.version);
        rows.said.push(root.said);
        rows.recorded.push(root.recorded);
        rows.waiting_since.push(root.waiting_since);
        rows.waiting_for.push(waiting.map(|waiting| waiting.fact));
        rows.waiting_from.push(waiting.map(|waiting| waiting.from));
        rows.overdue_at.push(overdue_at);
        rows.waits_for_people.push(waiting.is_some_and(|waiting| waiting.needs_people()));
        rows.overdue_not_before.push(overdue_not_before(root.overdue_not_before, overdue_at));
        rows.updated_at.push(root.updated_at);
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

fn changed(loaded: &Loaded) -> impl Iterator<Item = &Root> {
    loaded.changed.iter().filter_map(|id| loaded.orders.get(id))
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        facts: Vec<Value> as Array<Jsonb>,
        stock_ranks: Vec<i64> as Array<BigInt>,
        payment_ranks: Vec<i64> as Array<BigInt>,
        shipment_ranks: Vec<i64> as Array<BigInt>,
        statuses: Vec<&'a str> as Array<Text>,
        reasons: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        versions: Vec<i64> as Array<BigInt>,
        said: Vec<i64> as Array<BigInt>,
        recorded: Vec<i64> as Array<BigInt>,
        waiting_since: Vec<DateTime<Utc>> as Array<Timestamptz>,
        waiting_for: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        waiting_from: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        overdue_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        waits_for_people: Vec<bool> as Array<Bool>,
        overdue_not_before: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        updated_at: Vec<DateTime<Utc>> as Array<Timestamptz>,
    };
    "update orders set facts = new.facts, stock_rank = new.stock_rank, payment_rank = new.payment_rank, \
         shipment_rank = new.shipment_rank, status = new.status, reason = new.reason, version = new.version, \
         said = new.said, recorded = new.recorded, waiting_since = new.waiting_since, waiting_for = new.waiting_for, \
         waiting_from = new.waiting_from, overdue_at = new.overdue_at, \
         waits_for_people = new.waits_for_people, overdue_not_before = new.overdue_not_before, \
         updated_at = new.updated_at \
     from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as new (id, facts, stock_rank, payment_rank, \
         shipment_rank, status, reason, version, said, recorded, waiting_since, waiting_for, waiting_from, overdue_at, \
         waits_for_people, overdue_not_before, updated_at) \
     where orders.id = new.id"
}

/// An order that is no longer pending has no deadline.
pub(super) async fn save_timers(conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let settled = changed(loaded).filter(|root| root.has_deadline && root.progress.status != Status::Pending);
    let keys: Vec<_> = settled.map(|root| root.progress.order_id.to_string()).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let keys: Vec<_> = keys.iter().map(String::as_str).collect();
    timers::cancel_all(conn, DEADLINE_TIMER, &keys).await
}
