//! The root row of an order. Its lock puts what is queued, sent and announced for the order into one line.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use shared_events::OrderId;
use uuid::Uuid;

use super::keys::Keys;
use super::loaded::{Announced, Loaded, Root};
use super::profiles;
use crate::domain::{Contact, Order};
use crate::schema::line_names;

type Locked =
    (SqlUuid, Nullable<Text>, Nullable<Text>, Nullable<Text>, BigInt, Bool, Bool, Nullable<Jsonb>, Timestamptz);

#[derive(Queryable)]
struct Row {
    order_id: Uuid,
    customer_name: Option<String>,
    customer_email: Option<String>,
    customer_id: Option<String>,
    announced: i64,
    ending: bool,
    forgotten: bool,
    profile: Option<Value>,
    now: DateTime<Utc>,
}

/// Locks the roots of these orders and creates those of unknown ones: first the new ones, then the others, each sorted,
/// so transactions lock in one order. Their customers' profiles are read with them. Also returns the others' ids: only of
/// those something more is known.
pub(super) async fn lock_or_make(conn: &mut AsyncPgConnection, keys: &Keys<'_>) -> QueryResult<(Loaded, Vec<Uuid>)> {
    let (mut ids, mut customers) = keys.orders();
    if ids.is_empty() {
        return Ok((Loaded::new(Utc::now(), []), ids));
    }
    let made: Vec<(Uuid, DateTime<Utc>, Option<Value>)> = Make { ids: &ids, customers: &customers }.load(conn).await?;
    let is_known = |id: &Uuid| made.binary_search_by_key(id, |(made, ..)| *made).is_err();
    (ids, customers) = ids.into_iter().zip(customers).filter(|(id, _)| is_known(id)).unzip();
    let mut loaded = lock(conn, &ids, &customers).await?;
    if let [(_, now, _), ..] = &made[..] {
        loaded.now = *now;
    }
    let unheard = made.iter().map(|(id, ..)| (Order::unheard(OrderId(*id)), Announced(0)));
    loaded.orders.extend(Loaded::new(loaded.now, unheard).orders);
    for profile in made.into_iter().filter_map(|(.., profile)| profile) {
        loaded.profiles.extend([profiles::read(profile)?]);
    }
    Ok((loaded, ids))
}

prepared! {
    struct Make<'a> { ids: &'a [Uuid] as Array<SqlUuid>, customers: &'a [Option<&'a str>] as Array<Nullable<Text>> }
        -> (SqlUuid, Timestamptz, Nullable<Jsonb>);
    "with heard as materialized (select * from unnest(?, ?) as heard (order_id, customer_id)),
     made as (insert into orders (order_id) select order_id from heard on conflict do nothing returning order_id)
     select order_id, now(), (select to_jsonb(profiles) from profiles where profiles.customer_id = heard.customer_id)
       from made join heard using (order_id) order by order_id"
}

/// Locks the roots of those orders that exist, and reads the profiles of their customers, who are these where the root
/// doesn't say so yet. The ids are sorted. A subselect reads the profile, since one that is joined would be lost where the
/// root was changed while this waited for its lock.
pub(super) async fn lock(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
    customers: &[Option<&str>],
) -> QueryResult<Loaded> {
    let locked: Vec<Row> = if ids.is_empty() { Vec::new() } else { LockRoots { ids, customers }.load(conn).await? };
    let now = match &locked[..] {
        [first, ..] => first.now,
        [] => Utc::now(),
    };
    let profiles =
        locked.iter().filter_map(|row| row.profile.clone()).map(profiles::read).collect::<QueryResult<Vec<_>>>()?;
    let mut loaded = Loaded::new(now, locked.into_iter().map(read));
    loaded.profiles.extend(profiles);
    Ok(loaded)
}

prepared! {
    struct LockRoots<'a> { ids: &'a [Uuid] as Array<SqlUuid>, customers: &'a [Option<&'a str>] as Array<Nullable<Text>> }
        -> Locked;
    "select orders.order_id, customer_name, customer_email, orders.customer_id, notifications_said, ending, forgotten,
        (select to_jsonb(profiles) from profiles
          where profiles.customer_id = coalesce(orders.customer_id, heard.customer_id)), now()
       from unnest(?, ?) as heard (order_id, customer_id) join orders on orders.order_id = heard.order_id
      order by orders.order_id for update of orders"
}

fn read(row: Row) -> (Order, Announced) {
    let customer = row.customer_name.zip(row.customer_email);
    let customer = customer.map(|(name, address)| Contact { id: row.customer_id, name, address });
    let Row { ending, forgotten, .. } = row;
    (Order { customer, ending, forgotten, ..Order::unheard(OrderId(row.order_id)) }, Announced(row.announced))
}

/// The names of the lines of these orders, by SKU; none before `order.placed` was read.
pub(super) async fn line_names(
    mut conn: &AsyncPgConnection,
    orders: Vec<Uuid>,
) -> QueryResult<Vec<(OrderId, BTreeMap<String, String>)>> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, Value)> =
        line_names::table.filter(line_names::order_id.eq_any(orders)).load(&mut conn).await?;
    let read = |(id, names)| {
        let names = serde_json::from_value(names).map_err(|error| super::unreadable(error.to_string()))?;
        Ok((OrderId(id), names))
    };
    rows.into_iter().map(read).collect()
}

pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for Root { before, order, announced, was_announced } in loaded.orders.values() {
        let known = (&before.customer, before.ending, before.forgotten, was_announced);
        if known == (&order.customer, order.ending, order.forgotten, announced) {
            continue;
        }
        rows.ids.push(order.id.0);
        rows.names.push(order.customer.as_ref().map(|customer| customer.name.as_str()));
        rows.addresses.push(order.customer.as_ref().map(|customer| customer.address.as_str()));
        rows.customers.push(order.customer.as_ref().and_then(|customer| customer.id.as_deref()));
        rows.ending.push(order.ending);
        rows.forgotten.push(order.forgotten);
        rows.announced.push(announced.0);
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        names: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        addresses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        customers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        ending: Vec<bool> as Array<Bool>,
        forgotten: Vec<bool> as Array<Bool>,
        announced: Vec<i64> as Array<BigInt>,
    };
    "update orders set customer_name = new.name, customer_email = new.address, \
         customer_id = coalesce(new.customer, orders.customer_id), \
         ending = new.ending, forgotten = new.forgotten, notifications_said = new.announced \
     from unnest(?, ?, ?, ?, ?, ?, ?) as new (order_id, name, address, customer, ending, forgotten, announced) \
     where orders.order_id = new.order_id"
}

/// Writes the names of the lines of orders whose customer became known.
pub(super) async fn save_line_names(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let introduced = |root: &&Root| root.before.customer.is_none() && root.order.customer.is_some();
    let orders: Vec<_> = loaded.orders.values().filter(introduced).map(|root| &root.order).collect();
    if orders.is_empty() {
        return Ok(());
    }
    let ids = orders.iter().map(|order| order.id.0).collect();
    let names = orders.iter().map(|order| serde_json::to_value(&order.line_names)).collect::<Result<Vec<_>, _>>();
    let names = names.map_err(|error| diesel::result::Error::SerializationError(error.into()))?;
    SaveLineNames { ids, names: &names }.execute(&mut conn).await.map(drop)
}

prepared! {
    struct SaveLineNames<'a> { ids: Vec<Uuid> as Array<SqlUuid>, names: &'a [Value] as Array<Jsonb> };
    "insert into line_names (order_id, names) select * from unnest(?, ?) on conflict do nothing"
}
