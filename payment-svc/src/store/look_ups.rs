//! Which payments' customers are waited for, and when the gateway is next asked what they did.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, Array, Double, Uuid as SqlUuid};
use diesel::{prelude::*, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::{prepared, retry};
use shared_events::OrderId;
use uuid::Uuid;

use super::calls::LEASE;

/// After this long the customer may have acted: the webhook is given the time to say so first.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(2);
/// How late it may be noticed, at most, that a customer has acted.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A payment that a worker looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookUp {
    /// Whose.
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

/// The customer is waited for still: looked up again after a wait that grows, with jitter, and in any case at the payment's
/// deadline. Nothing happens when another worker has taken it since.
pub async fn put_off(
    conn: &mut AsyncPgConnection,
    look_up: LookUp,
    deadline: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    let tries = u32::try_from(look_up.tries).unwrap_or(u32::MAX);
    let wait = retry::wait_after(tries, FIRST_WAIT, LONGEST_WAIT);
    sql_query(
        "update customer_look_ups set due_at = case when $3 > now() then least(now() + make_interval(secs => $2), $3) \
                                                    else now() + make_interval(secs => $2) end \
         where order_id = $1 and tries = $4",
    )
    .bind::<sql_types::Uuid, _>(look_up.order_id.0)
    .bind::<sql_types::Double, _>(wait.as_secs_f64())
    .bind::<sql_types::Nullable<sql_types::Timestamptz>, _>(deadline)
    .bind::<sql_types::Integer, _>(look_up.tries)
    .execute(conn)
    .await
    .map(drop)
}

/// The customer is no longer waited for.
pub async fn end(conn: &mut AsyncPgConnection, order: OrderId) -> QueryResult<()> {
    let end = sql_query("delete from customer_look_ups where order_id = $1");
    end.bind::<sql_types::Uuid, _>(order.0).execute(conn).await.map(drop)
}
