//! The root row of an order's goods. It is locked before anything else, so that for one order the rows of the outbox
//! are committed in the order of their ids, and decisions come one after the other.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Array, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use outbox_relay::AppendError;
use serde_json::Value;
use service_kit::timers;
use shared_events::{CancelReason, Counts, EventId, OrderId, ShipmentId, StockLine, Topic};
use uuid::Uuid;

use super::{from_json, levels, products, shipments, to_json, unreadable};
use crate::domain::{Change, Goods, NewParcel, Reservation, State};
use crate::outbox;
use crate::schema::orders;

/// The timer that ends a hold; its key is the order's id.
pub const EXPIRY: &str = "reservation_expiry";

/// The locked row of one order.
#[derive(Clone, Debug)]
pub struct Root {
    /// What is known of its goods.
    pub goods: Goods,
    /// The time of this transaction by the database's clock, which timers go by too.
    pub now: DateTime<Utc>,
    stock_said: i64,
    shipments_said: i64,
}

impl Root {
    /// The parcel that a decision of this transaction would make.
    pub fn new_parcel(&self) -> NewParcel {
        NewParcel { id: ShipmentId::new(), at: self.now }
    }
}

impl Counts for Root {
    fn next_sequence(&mut self, topic: Topic) -> i64 {
        let counter = if topic == Topic::Shipments { &mut self.shipments_said } else { &mut self.stock_said };
        *counter += 1;
        *counter
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
struct Row {
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

/// Locks the root of an order, which is made if this is the first that is heard of it.
///
/// # Errors
/// What the database says.
pub async fn lock_or_create(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Root> {
    if let Some(root) = lock(conn, order_id).await? {
        return Ok(root);
    }
    diesel::insert_into(orders::table)
        .values(orders::order_id.eq(order_id.0))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    lock(conn, order_id).await?.ok_or(Error::NotFound)
}

/// Locks the root of an order that was heard of.
///
/// # Errors
/// What the database says.
pub async fn lock(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Option<Root>> {
    let found: Option<(Row, DateTime<Utc>)> = orders::table
        .find(order_id.0)
        .select((Row::as_select(), diesel::dsl::now.into_sql::<Timestamptz>()))
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let Some((row, now)) = found else { return Ok(None) };
    let address_rank = row.address_rank;
    let address = row.delivery_address.clone().map(from_json).transpose()?;
    let (captured, stock_said, shipments_said) = (row.captured, row.stock_said, row.shipments_said);
    let reservation = reservation(row)?;
    // Only goods that are or were firm have parcels.
    let shipments = match reservation.as_ref().map(|reservation| reservation.state) {
        Some(State::Committed | State::Restocked) => shipments::of_order(conn, order_id).await?,
        _ => Vec::new(),
    };
    let goods = Goods { order_id, reservation, captured, address, address_rank, shipments };
    Ok(Some(Root { goods, now, stock_said, shipments_said }))
}

/// Makes and locks the roots of many orders in sorted order, and tells the lines of those that may still move stock.
///
/// # Errors
/// What the database says.
pub async fn lock_all(conn: &mut AsyncPgConnection, mut ids: Vec<Uuid>) -> QueryResult<Vec<StockLine>> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    diesel::insert_into(orders::table)
        .values(diesel::select(unnest(&ids)))
        .into_columns(orders::order_id)
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    let rows: Vec<Row> = orders::table
        .filter(orders::order_id.eq_any(&ids))
        .order(orders::order_id)
        .select(Row::as_select())
        .for_update()
        .load(conn)
        .await?;
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(reservation(row)?.filter(|known| known.state.may_move_stock()).map(|known| known.lines));
    }
    Ok(lines.into_iter().flatten().collect())
}

diesel::define_sql_function! {
    /// The elements of an array as rows.
    fn unnest(ids: Array<SqlUuid>) -> SqlUuid;
}

/// Carries out a decision: moves the pieces, says of which few are left, keeps the goods and the counters, and appends what is to be said.
///
/// # Errors
/// What the database says; an event that is too large, which none here can be.
pub async fn keep_and_announce(
    conn: &mut AsyncPgConnection,
    root: &mut Root,
    change: Change,
    because_of: Option<EventId>,
) -> Result<(), AppendError> {
    let Change { goods, shift, events } = change;
    if let Some((shift, lines)) = shift {
        for low in levels::shift(conn, goods.order_id, shift, &lines).await? {
            products::announce_low(conn, &low.sku, low.available, because_of).await?;
        }
    }
    for shipment in goods.shipments.iter().filter(|shipment| !root.goods.shipments.contains(shipment)) {
        shipments::save(conn, goods.order_id, shipment).await?;
    }
    keep_time(conn, &root.goods, &goods).await?;
    root.goods = goods;
    let at = root.now;
    let rows = outbox::rows(root, at, &events, because_of)?;
    save(conn, root).await?;
    outbox_relay::append_all(conn, rows).await
}

/// A hold has its timer for as long as it is one.
async fn keep_time(conn: &mut AsyncPgConnection, before: &Goods, after: &Goods) -> QueryResult<()> {
    let key = after.order_id.to_string();
    match (before.expires_at(), after.expires_at()) {
        (before, after) if before == after => Ok(()),
        (_, Some(due_at)) => timers::set(conn, EXPIRY, &key, due_at).await,
        (_, None) => timers::cancel(conn, EXPIRY, &key).await,
    }
}

async fn save(conn: &mut AsyncPgConnection, root: &Root) -> QueryResult<()> {
    let goods = &root.goods;
    let state = goods.reservation.as_ref().map(|reservation| reservation.state);
    diesel::update(orders::table.find(goods.order_id.0))
        .set((
            orders::reservation.eq(state.map(State::name)),
            orders::release_reason.eq(state.and_then(State::release_reason).map(CancelReason::as_str)),
            orders::expires_at.eq(goods.expires_at()),
            orders::lines.eq(to_json(&goods.lines())?),
            orders::captured.eq(goods.captured),
            orders::address_rank.eq(goods.address_rank),
            orders::delivery_address.eq(goods.address.as_ref().map(to_json).transpose()?),
            orders::stock_said.eq(root.stock_said),
            orders::shipments_said.eq(root.shipments_said),
            orders::updated_at.eq(root.now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

fn reservation(row: Row) -> QueryResult<Option<Reservation>> {
    let Some(name) = row.reservation else { return Ok(None) };
    let reason = row.release_reason.as_deref().and_then(CancelReason::from_name);
    let state = State::from_columns(&name, row.expires_at, reason)
        .ok_or_else(|| unreadable(format!("a reservation that is {name:?}")))?;
    Ok(Some(Reservation { state, lines: from_json(row.lines)? }))
}
