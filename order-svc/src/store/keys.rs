//! By what orders are found: `order_keys` has an order's number, its customer's e-mail address and its SKUs. An order's rows are
//! written with it, and change no more.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use shared_events::{EmailAddress, OrderNumber, Sku};
use uuid::Uuid;

use super::loaded::Loaded;
use crate::domain::Order;

/// Something that an order is found by, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    kind: &'static str,
    value: String,
}

impl From<&OrderNumber> for Key {
    fn from(number: &OrderNumber) -> Self {
        Self { kind: "number", value: number.drawn().to_string() }
    }
}

impl From<&EmailAddress> for Key {
    fn from(email: &EmailAddress) -> Self {
        Self { kind: "email", value: email.as_str().to_lowercase() }
    }
}

impl From<&Sku> for Key {
    fn from(sku: &Sku) -> Self {
        Self { kind: "sku", value: sku.to_string() }
    }
}

prepared! {
    pub(super) struct NewKeys<'a> {
        order: Uuid as SqlUuid,
        kinds: Vec<&'a str> as Array<Text>,
        values: Vec<String> as Array<Text>,
    };
    "insert into order_keys (kind, value, order_id) select kind, value, ? from unnest(?, ?) as new (kind, value)"
}

impl NewKeys<'static> {
    /// Those of a new order. Each SKU is in one line only.
    pub fn of(order: &Order) -> Self {
        let number = order.number.as_ref().map(Key::from);
        let skus = order.placed.lines.iter().map(|line| Key::from(&line.sku));
        let keys = number.into_iter().chain([Key::from(&order.placed.customer.email)]).chain(skus);
        let (kinds, values) = keys.map(|Key { kind, value }| (kind, value)).unzip();
        Self { order: order.placed.order_id.0, kinds, values }
    }
}

/// The orders that have this key, from `begin` on and before `end`, the newest first.
pub(super) async fn orders_of(
    conn: &mut AsyncPgConnection,
    Key { kind, value }: &Key,
    (begin, end): (Uuid, Uuid),
    most: i64,
) -> QueryResult<Vec<Uuid>> {
    Orders { kind, value, begin, end, most }.load(conn).await
}

prepared! {
    struct Orders<'a> {
        kind: &'a str as Text,
        value: &'a str as Text,
        begin: Uuid as SqlUuid,
        end: Uuid as SqlUuid,
        most: i64 as BigInt,
    } -> SqlUuid;
    "select order_id from order_keys where kind = ? and value = ? and order_id >= ? and order_id < ? \
     order by order_id desc limit ?"
}

/// How many orders are put among the keys at a time.
const FILLED_IN: i64 = 500;

/// Puts orders among the keys that a version has placed which doesn't know of them. Returns how many there were; one that
/// somebody has locked is left for the next time.
pub async fn fill_in(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    diesel::sql_query(FILL_IN).bind::<BigInt, _>(FILLED_IN).execute(conn).await
}

const FILL_IN: &str = "with left_out as materialized (
        select id, number, placed, forgotten_at from orders where not keyed order by id limit $1 for update skip locked),
    written as (
        insert into order_keys (kind, value, order_id)
        select 'number', number::text, id from left_out where number is not null
        union all select 'email', lower(placed #>> '{customer,email}'), id from left_out
            where forgotten_at is null and placed #>> '{customer,email}' is not null
        union select 'sku', line ->> 'sku', id from left_out, jsonb_array_elements(placed -> 'lines') as line
        on conflict do nothing)
    update orders set keyed = true from left_out where orders.id = left_out.id";

/// Deletes what names the person, of the orders whose customer is forgotten. Their rows must be locked, and have it still.
pub(super) async fn forget(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let ids: Vec<_> = loaded.forgotten.iter().map(|id| id.0).collect();
    if !ids.is_empty() {
        Forget { ids: &ids }.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    struct Forget<'a> { ids: &'a [Uuid] as Array<SqlUuid> };
    "delete from order_keys using orders where orders.id = any(?) and kind = 'email' \
         and value = lower(orders.placed #>> '{customer,email}') and order_id = orders.id"
}
