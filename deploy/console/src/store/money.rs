//! Events about money, by when they were announced and by whose it is.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use uuid::Uuid;

use super::events::Event;

/// What an event on `payments.v1` says of money. It names nobody, so it stays when the event's person is forgotten.
pub(super) fn said(topic: &str, body: &str) -> Option<Value> {
    if topic != "payments.v1" {
        return None;
    }
    let Value::Object(mut body) = serde_json::from_str(body).ok()? else { return None };
    body.retain(|name, _| ["amount", "remaining", "payment_id", "refund_id"].contains(&name.as_str()));
    Some(Value::Object(body))
}

/// Events about money of these types that were announced before `until`, in the order of their times, after one of them.
pub async fn announced(
    conn: &mut AsyncPgConnection,
    types: &[&str],
    after: (DateTime<Utc>, Uuid),
    until: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Event>> {
    let (at, id, until, most, limit) = (&after.0, &after.1, &until, &limit, &limit);
    super::read(Announced { types, at, id, until, most, limit }.load(conn).await?)
}

prepared! {
    /// Each type is read on its index, no further than the page goes.
    struct Announced<'a> {
        types: &'a [&'a str] as Array<Text>,
        at: &'a DateTime<Utc> as Timestamptz,
        id: &'a Uuid as SqlUuid,
        until: &'a DateTime<Utc> as Timestamptz,
        most: &'a i64 as BigInt,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    "select to_jsonb(found) from unnest(?) as wanted (type) cross join lateral ( \
        select * from events where topic = 'payments.v1' and events.type = wanted.type \
            and (time, id) > (?, ?) and time < ? order by time, id limit ?) found \
     order by found.time, found.id limit ?"
}

/// What was announced of the money of these orders, of these types, in the order of their times.
pub async fn announced_of(conn: &mut AsyncPgConnection, orders: &[Uuid], types: &[&str]) -> QueryResult<Vec<Event>> {
    super::read(AnnouncedOf { orders, types }.load(conn).await?)
}

prepared! {
    struct AnnouncedOf<'a> { orders: &'a [Uuid] as Array<SqlUuid>, types: &'a [&'a str] as Array<Text> } -> Jsonb;
    "select to_jsonb(events) from events where order_id = any (?) and type = any (?) and topic = 'payments.v1' \
     order by time, id"
}
