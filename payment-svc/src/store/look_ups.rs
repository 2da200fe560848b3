//! Which payments' customers are waited for, and when the gateway is next asked what they did.

use std::time::Duration;

use diesel::sql_types::{self, Array, Double, Integer, Uuid as SqlUuid};
use diesel::{prelude::*, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::{prepared, retry};
use shared_events::OrderId;
use uuid::Uuid;

use super::calls::LEASE;

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

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = sql_types::Uuid)]
    order_id: Uuid,
    #[diesel(sql_type = sql_types::Integer)]
    tries: i32,
}

/// Has these payments looked up from now on, each after so many seconds, unless they are already.
pub(super) async fn begin(mut conn: &AsyncPgConnection, look_ups: &[(OrderId, f64)]) -> QueryResult<()> {
    if look_ups.is_empty() {
        return Ok(());
    }
    let (orders, waits): (Vec<_>, Vec<_>) = look_ups.iter().map(|(order, wait)| (order.0, *wait)).unzip();
    Begin { orders: &orders, waits: &waits }.execute(&mut conn).await.map(drop)
}

prepared! {
    struct Begin<'a> { orders: &'a [Uuid] as Array<SqlUuid>, waits: &'a [f64] as Array<Double> };
    "insert into customer_look_ups (order_id, due_at) \
     select order_id, now() + make_interval(secs => wait) from unnest(?, ?) as new (order_id, wait) on conflict do nothing"
}

/// Takes up to `limit` due look-ups under a lease.
pub async fn take(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<LookUp>> {
    let rows: Vec<Row> = sql_query(
        "with due as materialized (select order_id from customer_look_ups where due_at <= now() \
                                   order by due_at limit $1 for update skip locked) \
         update customer_look_ups taken set tries = tries + 1, due_at = now() + make_interval(secs => $2) \
         from due where taken.order_id = due.order_id returning taken.order_id, tries",
    )
    .bind::<sql_types::BigInt, _>(limit)
    .bind::<sql_types::Double, _>(LEASE.as_secs_f64())
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|Row { order_id, tries }| LookUp { order_id: OrderId(order_id), tries }).collect())
}

/// How long until the next look-up is due, the end of a lease included; nothing when nobody is waited for.
pub async fn next_due(conn: &mut AsyncPgConnection) -> QueryResult<Option<Duration>> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = sql_types::Double)]
        seconds: f64,
    }
    let next = "select greatest(extract(epoch from due_at - now()), 0)::float8 as seconds \
                from customer_look_ups order by due_at limit 1";
    let next: Option<Next> = sql_query(next).get_result(conn).await.optional()?;
    Ok(next.map(|Next { seconds }| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// Reschedules look-ups of customers who are still waited for: after a growing wait with jitter, at the latest at their
/// payment's deadline. One that another worker has taken since is left alone.
pub async fn put_off(conn: &mut AsyncPgConnection, look_ups: &[LookUp]) -> QueryResult<()> {
    if look_ups.is_empty() {
        return Ok(());
    }
    let (orders, tries): (Vec<_>, Vec<_>) = look_ups.iter().map(|one| (one.order_id.0, one.tries)).unzip();
    let wait = |tries: &i32| {
        let tries = u32::try_from(*tries).unwrap_or(u32::MAX);
        retry::wait_after(tries, FIRST_WAIT, LONGEST_WAIT).as_secs_f64()
    };
    let waits: Vec<_> = tries.iter().map(wait).collect();
    PutOff { orders: &orders, tries: &tries, waits: &waits }.execute(conn).await.map(drop)
}

prepared! {
    struct PutOff<'a> {
        orders: &'a [Uuid] as Array<SqlUuid>,
        tries: &'a [i32] as Array<Integer>,
        waits: &'a [f64] as Array<Double>,
    };
    "update customer_look_ups known set due_at = case \
         when payments.deadline > now() then least(now() + make_interval(secs => wait), payments.deadline) \
         else now() + make_interval(secs => wait) end \
     from unnest(?, ?, ?) as waits (order_id, tries, wait) join payments on payments.order_id = waits.order_id \
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
