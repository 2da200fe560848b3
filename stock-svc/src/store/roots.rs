//! The root row of an order's allocation. It is locked before anything else. So an order's decisions come one after
//! the other, and its outbox rows are committed in the order of their ids.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::{prepared, timers};
use shared_events::{CancelReason, OrderId, SequenceCounter, Topic};
use uuid::Uuid;

use super::loaded::Loaded;
use super::{from_json, to_json, unreadable};
use crate::domain::{Allocation, Reservation, State};
use crate::schema::orders;

/// The timer that expires a reservation; its key is the order's id.
pub const EXPIRY: &str = "reservation_expiry";

/// The locked row of one order.
#[derive(Clone, Debug)]
pub(super) struct Root {
    pub allocation: Allocation,
    pub counters: Counters,
    /// When the timer that is set will expire the reservation.
    timer: Option<DateTime<Utc>>,
}

/// Counts the order's events on each topic.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    stock: i64,
    shipments: i64,
}

impl SequenceCounter for Counters {
    fn next_sequence(&mut self, topic: Topic) -> i64 {
        let counter = if topic == Topic::Shipments { &mut self.shipments } else { &mut self.stock };
        *counter += 1;
        *counter
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
struct Row {
    order_id: Uuid,
    reservation: Option<String>,
    release_reason: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    lines: Value,
    captured: bool,
    delivery_address: Option<Value>,
    address_rank: i64,
    stock_said: i64,
    shipments_said: i64,
}

/// Locks and reads the roots of these orders, and creates those of unknown ones. New roots come first, then the
/// others, each sorted, so that all transactions lock in one order. Shipments aren't read here.
pub(super) async fn lock(conn: &mut AsyncPgConnection, mut ids: Vec<Uuid>) -> QueryResult<Loaded> {
    ids.sort_unstable();
    ids.dedup();
    let made: Vec<(Uuid, DateTime<Utc>)> = Make { ids: &ids }.load(conn).await?;
    let mut now = made.iter().map(|(_, now)| *now).next();
    let mut roots: BTreeMap<_, _> = made.into_iter().map(|(id, _)| unheard(id)).collect();
    ids.retain(|id| !roots.contains_key(&OrderId(*id)));
    if !ids.is_empty() {
        let known: Vec<(Row, DateTime<Utc>)> = orders::table
            .filter(orders::order_id.eq_any(&ids))
            .order(orders::order_id)
            .select((Row::as_select(), diesel::dsl::now.into_sql::<Timestamptz>()))
            .for_update()
            .load(conn)
            .await?;
        now = now.or(known.iter().map(|(_, now)| *now).next());
        for (row, _) in known {
            roots.insert(OrderId(row.order_id), read(row)?);
        }
    }
    let now = match now {
        Some(now) => now,
        None => super::now(conn).await?,
    };
    Ok(Loaded { orders: roots, ..Loaded::new(now) })
}

prepared! {
    struct Make<'a> { ids: &'a [Uuid] as Array<SqlUuid> } -> (SqlUuid, Timestamptz);
    "insert into orders (order_id) select unnest(?) on conflict do nothing returning order_id, now()"
}

fn unheard(id: Uuid) -> (OrderId, Root) {
    let order_id = OrderId(id);
    (order_id, Root { allocation: Allocation::unheard(order_id), counters: Counters::default(), timer: None })
}

fn read(row: Row) -> QueryResult<Root> {
    let order_id = OrderId(row.order_id);
    let reservation = match &row.reservation {
        Some(name) => {
            let reason = row.release_reason.as_deref().and_then(CancelReason::from_name);
            let state = State::from_columns(name, row.expires_at, reason)
                .ok_or_else(|| unreadable(format!("a reservation that is {name:?}")))?;
            Some(Reservation { state, lines: from_json(row.lines)? })
        }
        None => None,
    };
    let address = row.delivery_address.map(from_json).transpose()?;
    let (captured, address_rank) = (row.captured, row.address_rank);
    let allocation = Allocation { order_id, reservation, captured, address, address_rank, shipments: Vec::new() };
    let counters = Counters { stock: row.stock_said, shipments: row.shipments_said };
    Ok(Root { timer: allocation.expires_at(), allocation, counters })
}

pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for Root { allocation, counters, .. } in changed(loaded) {
        let state = allocation.reservation.as_ref().map(|reservation| reservation.state);
        rows.ids.push(allocation.order_id.0);
        rows.reservations.push(state.map(State::name));
        rows.release_reasons.push(state.and_then(State::release_reason).map(CancelReason::as_str));
        rows.expires_at.push(allocation.expires_at());
        rows.lines.push(to_json(&allocation.lines())?);
        rows.captured.push(allocation.captured);
        rows.addresses.push(allocation.address.as_ref().map(to_json).transpose()?);
        rows.address_ranks.push(allocation.address_rank);
        rows.stock_said.push(counters.stock);
        rows.shipments_said.push(counters.shipments);
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

fn changed(loaded: &Loaded) -> impl Iterator<Item = &Root> {
    loaded.changed.orders.iter().filter_map(|id| loaded.orders.get(id))
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        reservations: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        release_reasons: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        expires_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        lines: Vec<Value> as Array<Jsonb>,
        captured: Vec<bool> as Array<Bool>,
        addresses: Vec<Option<Value>> as Array<Nullable<Jsonb>>,
        address_ranks: Vec<i64> as Array<BigInt>,
        stock_said: Vec<i64> as Array<BigInt>,
        shipments_said: Vec<i64> as Array<BigInt>,
    };
    "update orders set reservation = new.reservation, release_reason = new.release_reason, expires_at = new.expires_at, \
         lines = new.lines, captured = new.captured, delivery_address = new.delivery_address, \
         address_rank = new.address_rank, stock_said = new.stock_said, shipments_said = new.shipments_said, \
         updated_at = now() \
     from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as new (order_id, reservation, release_reason, expires_at, lines, captured, \
         delivery_address, address_rank, stock_said, shipments_said) \
     where orders.order_id = new.order_id"
}

/// Sets and cancels timers, so that exactly the reservations that are held have one.
pub(super) async fn save_timers(conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let (mut set, mut cancelled) = (Vec::new(), Vec::new());
    for root in changed(loaded).filter(|root| root.timer != root.allocation.expires_at()) {
        let key = root.allocation.order_id.to_string();
        match root.allocation.expires_at() {
            Some(due_at) => set.push((key, due_at)),
            None => cancelled.push(key),
        }
    }
    if !set.is_empty() {
        let set: Vec<_> = set.iter().map(|(key, due_at)| (key.as_str(), *due_at)).collect();
        timers::set_all(conn, EXPIRY, &set).await?;
    }
    if !cancelled.is_empty() {
        let keys: Vec<_> = cancelled.iter().map(String::as_str).collect();
        timers::cancel_all(conn, EXPIRY, &keys).await?;
    }
    Ok(())
}
