//! Which payments' customers are waited for, and when the gateway is next asked what they did.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, Array, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{prelude::*, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::{prepared, retry};
use shared_events::OrderId;
use uuid::Uuid;

use super::calls::LEASE;
use crate::domain::{ClientSecret, NextAction};

/// The customer may have acted after this long; the webhook has this time to say so first.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(2);
/// How late it may be noticed, at most, that a customer has acted.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A payment that a worker looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookUp {
    pub order_id: OrderId,
    /// How often it was taken, this time included.
    pub tries: i32,
}

/// A payment whose customer is waited for from now on.
#[derive(Debug)]
pub(super) struct NewLookUp {
    order_id: OrderId,
    /// In how many seconds it is looked up first.
    wait: f64,
    /// How the customer goes on with it.
    action: NextAction,
}

impl NewLookUp {
    pub fn of(order_id: OrderId, action: NextAction) -> Self {
        Self { order_id, wait: retry::wait_after(0, FIRST_WAIT, LONGEST_WAIT).as_secs_f64(), action }
    }
}

/// Has these payments looked up from now on, unless they are already: of each the first stays.
pub(super) async fn begin(mut conn: &AsyncPgConnection, look_ups: &[NewLookUp]) -> QueryResult<()> {
    let mut rows = Begin::default();
    for NewLookUp { order_id, wait, action } in look_ups {
        rows.orders.push(order_id.0);
        rows.waits.push(*wait);
        rows.secrets.push(action.client_secret.as_ref().map(ClientSecret::expose));
        rows.urls.push(action.url.as_deref());
    }
    if !rows.orders.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Begin<'a> {
        orders: Vec<Uuid> as Array<SqlUuid>,
        waits: Vec<f64> as Array<Double>,
        secrets: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        urls: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "insert into customer_look_ups (order_id, due_at, client_secret, url) \
     select order_id, now() + make_interval(secs => wait), client_secret, url \
     from unnest(?, ?, ?, ?) as new (order_id, wait, client_secret, url) on conflict do nothing"
}

/// How a customer who is waited for goes on with their payment, and until when.
#[derive(Debug)]
pub struct Awaited {
    pub action: NextAction,
    pub deadline: Option<DateTime<Utc>>,
}

type AwaitedRow = (Uuid, Option<String>, Option<String>, Option<DateTime<Utc>>);

/// How the customers of these orders go on, as far as they are waited for; of all or of one.
pub async fn awaited(
    mut conn: &AsyncPgConnection,
    orders: &[Uuid],
    customer: Option<&str>,
) -> QueryResult<BTreeMap<Uuid, Awaited>> {
    if orders.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<AwaitedRow> = ReadAwaited { orders, customer }.load(&mut conn).await?;
    let awaited = rows.into_iter().map(|(order, secret, url, deadline)| {
        (order, Awaited { action: NextAction { client_secret: secret.map(ClientSecret::from), url }, deadline })
    });
    Ok(awaited.collect())
}

prepared! {
    struct ReadAwaited<'a> { orders: &'a [Uuid] as Array<SqlUuid>, customer: Option<&'a str> as Nullable<Text> }
        -> (SqlUuid, Nullable<Text>, Nullable<Text>, Nullable<Timestamptz>);
    "select payments.order_id, known.client_secret, known.url, payments.deadline \
     from customer_look_ups known join payments on payments.order_id = known.order_id \
     left join charges on charges.order_id = known.order_id \
     where known.order_id = any(?) and payments.state = 'action_required' \
         and coalesce(?, charges.customer_id, '') = coalesce(charges.customer_id, '')"
}

/// Takes up to `limit` due look-ups under a lease.
pub async fn take(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<LookUp>> {
    let rows: Vec<(Uuid, i32)> = Take { limit, lease: &LEASE.as_secs_f64() }.load(conn).await?;
    Ok(rows.into_iter().map(|(order_id, tries)| LookUp { order_id: OrderId(order_id), tries }).collect())
}

prepared! {
    struct Take<'a> { limit: i64 as sql_types::BigInt, lease: &'a f64 as sql_types::Double } -> (SqlUuid, sql_types::Integer);
    "with due as materialized (select order_id from customer_look_ups where due_at <= now() \
                               order by due_at limit ? for update skip locked) \
     update customer_look_ups taken set tries = tries + 1, due_at = now() + make_interval(secs => ?) \
     from due where taken.order_id = due.order_id returning taken.order_id, tries"
}

/// How long until the next look-up is due, the end of a lease included; nothing when nobody is waited for.
pub async fn next_due(conn: &mut AsyncPgConnection) -> QueryResult<Option<Duration>> {
    let next: Option<f64> = NextDue.get_result(conn).await.optional()?;
    Ok(next.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

prepared! {
    struct NextDue -> sql_types::Double;
    "select greatest(extract(epoch from due_at - now()), 0)::float8 from customer_look_ups order by due_at limit 1"
}

/// Reschedules look-ups of customers who are still waited for: after a growing wait with jitter, at the latest at their
/// payment's deadline. How they go on is kept where it was not known, as of one that an older build has asked. A look-up
/// that another worker has taken since is left alone.
pub async fn put_off(conn: &mut AsyncPgConnection, look_ups: &[(LookUp, NextAction)]) -> QueryResult<()> {
    if look_ups.is_empty() {
        return Ok(());
    }
    let mut rows = PutOff::default();
    for (LookUp { order_id, tries }, action) in look_ups {
        let times = u32::try_from(*tries).unwrap_or(u32::MAX);
        rows.orders.push(order_id.0);
        rows.tries.push(*tries);
        rows.waits.push(retry::wait_after(times, FIRST_WAIT, LONGEST_WAIT).as_secs_f64());
        rows.secrets.push(action.client_secret.as_ref().map(ClientSecret::expose));
        rows.urls.push(action.url.as_deref());
    }
    rows.execute(conn).await.map(drop)
}

prepared! {
    #[derive(Default)]
    struct PutOff<'a> {
        orders: Vec<Uuid> as Array<SqlUuid>,
        tries: Vec<i32> as Array<Integer>,
        waits: Vec<f64> as Array<Double>,
        secrets: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        urls: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "update customer_look_ups known set due_at = case \
         when payments.deadline > now() then least(now() + make_interval(secs => wait), payments.deadline) \
         else now() + make_interval(secs => wait) end, \
         client_secret = coalesce(known.client_secret, waits.client_secret), url = coalesce(known.url, waits.url) \
     from unnest(?, ?, ?, ?, ?) as waits (order_id, tries, wait, client_secret, url) \
         join payments on payments.order_id = waits.order_id \
     where known.order_id = waits.order_id and known.tries = waits.tries"
}

/// These customers are no longer waited for.
pub async fn end(conn: &mut AsyncPgConnection, orders: &[OrderId]) -> QueryResult<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let orders: Vec<_> = orders.iter().map(|order| order.0).collect();
    let end = sql_query("delete from customer_look_ups where order_id = any($1)");
    end.bind::<Array<SqlUuid>, _>(orders).execute(conn).await.map(drop)
}
