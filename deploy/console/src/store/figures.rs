//! Figures of what was heard: how orders flow.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Jsonb};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::prepared;

/// Orders by how far they are, and how they ended within the last hour.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Now {
    pub pending: i64,
    pub confirmed: i64,
    pub shipped: i64,
    pub completed: i64,
    pub cancelled: i64,
    /// Orders that ended by reason, within the last hour.
    pub reasons: Vec<(String, i64)>,
    /// The order that waits longest to be confirmed.
    pub oldest_pending: Option<DateTime<Utc>>,
    /// Seconds from placed to confirmed of those confirmed within the last hour.
    pub confirm_p50: Option<f64>,
    pub confirm_p99: Option<f64>,
}

/// A minute of the last hour.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Minute {
    pub at: DateTime<Utc>,
    pub placed: i64,
    pub confirmed: i64,
    pub completed: i64,
    pub cancelled: i64,
}

pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<Now> {
    let found: Value = NowQuery { minutes: &60 }.get_result(conn).await?;
    Ok(super::read(vec![found])?.pop().unwrap_or_default())
}

prepared! {
    struct NowQuery<'a> { minutes: &'a i64 as BigInt } -> Jsonb;
    "with since (at) as (values (now() - make_interval(mins => ?::int))), \
     going_on as (select case when shipped_at is not null then 'shipped' when confirmed_at is not null then 'confirmed' \
            else 'pending' end as state, count(*) as orders, min(placed_at) as oldest \
        from orders where ended_at is null and placed_at is not null group by 1), \
     ended as (select outcome, reason, count(*) as orders from orders, since where ended_at > since.at group by 1, 2), \
     taken as (select percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from confirmed_at - placed_at)) as s \
        from orders, since where confirmed_at > since.at and placed_at is not null) \
     select jsonb_build_object( \
        'pending', coalesce((select orders from going_on where state = 'pending'), 0), \
        'confirmed', coalesce((select orders from going_on where state = 'confirmed'), 0), \
        'shipped', coalesce((select orders from going_on where state = 'shipped'), 0), \
        'completed', coalesce((select sum(orders) from ended where outcome = 'completed'), 0), \
        'cancelled', coalesce((select sum(orders) from ended where outcome = 'cancelled'), 0), \
        'reasons', coalesce((select jsonb_agg(jsonb_build_array(reason, orders) order by orders desc) from ended \
            where reason is not null), '[]'), \
        'oldest_pending', (select oldest from going_on where state = 'pending'), \
        'confirm_p50', (select s[1] from taken), 'confirm_p99', (select s[2] from taken))"
}

/// The last hour, minute by minute, the oldest first.
pub async fn last_hour(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Minute>> {
    super::read(Hour { minutes: &60 }.load(conn).await?)
}

prepared! {
    struct Hour<'a> { minutes: &'a i64 as BigInt } -> Jsonb;
    "with minutes as (select generate_series(date_trunc('minute', now()) - make_interval(mins => ?::int - 1), \
            date_trunc('minute', now()), interval '1 minute') as at), \
     since as materialized (select min(at) as at from minutes), \
     placed as (select date_trunc('minute', placed_at) as at, count(*) as n from orders \
        where placed_at >= (select at from since) group by 1), \
     confirmed as (select date_trunc('minute', confirmed_at) as at, count(*) as n from orders \
        where confirmed_at >= (select at from since) group by 1), \
     ended as (select date_trunc('minute', ended_at) as at, count(*) filter (where outcome = 'completed') as completed, \
            count(*) filter (where outcome = 'cancelled') as cancelled from orders \
        where ended_at >= (select at from since) group by 1) \
     select jsonb_build_object('at', minutes.at, 'placed', coalesce(placed.n, 0), 'confirmed', coalesce(confirmed.n, 0), \
        'completed', coalesce(ended.completed, 0), 'cancelled', coalesce(ended.cancelled, 0)) \
     from minutes left join placed using (at) left join confirmed using (at) left join ended using (at) order by minutes.at"
}

/// How many orders were cancelled for a reason, in a minute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Cancelled {
    pub reason: String,
    pub at: DateTime<Utc>,
    pub orders: i64,
}

/// The cancellations of the last hour, by reason and minute; minutes without any are left out.
pub async fn cancelled(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Cancelled>> {
    super::read(CancelledQuery { minutes: &60 }.load(conn).await?)
}

prepared! {
    struct CancelledQuery<'a> { minutes: &'a i64 as BigInt } -> Jsonb;
    "select jsonb_build_object('reason', reason, 'at', date_trunc('minute', ended_at), 'orders', count(*)) \
     from orders where ended_at > now() - make_interval(mins => ?::int) and reason is not null \
     group by reason, date_trunc('minute', ended_at)"
}
