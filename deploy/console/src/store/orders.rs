//! What was heard of orders.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::prepared;
use uuid::Uuid;

use crate::heard::Summary;

/// An order as the console has heard of it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Order {
    pub id: Uuid,
    pub number: Option<String>,
    pub customer_id: Option<String>,
    pub customer_name: Option<String>,
    pub email: Option<String>,
    pub currency: Option<String>,
    pub total: Option<i64>,
    pub skus: Vec<String>,
    pub deadline: Option<DateTime<Utc>>,
    pub placed_at: Option<DateTime<Utc>>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub shipped_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub last_event_at: DateTime<Utc>,
    pub forgotten: bool,
}

/// Adds what was heard to what is known. What a person told of themselves goes once they are forgotten, whatever comes then.
pub async fn save(conn: &mut AsyncPgConnection, summaries: &BTreeMap<Uuid, Summary>) -> QueryResult<()> {
    let mut rows = Save::default();
    for (id, summary) in summaries {
        rows.ids.push(*id);
        rows.numbers.push(summary.number.as_deref());
        rows.customer_ids.push(summary.customer_id.as_deref());
        rows.customer_names.push(summary.customer_name.as_deref());
        rows.emails.push(summary.email.as_deref());
        rows.currencies.push(summary.currency.as_deref());
        rows.totals.push(summary.total);
        rows.skus.push(json!(summary.skus));
        rows.deadlines.push(summary.deadline);
        rows.placed.push(summary.placed_at);
        rows.confirmed.push(summary.confirmed_at);
        rows.shipped.push(summary.shipped_at);
        rows.ended.push(summary.ended_at);
        rows.outcomes.push(summary.outcome);
        rows.reasons.push(summary.reason.as_deref());
        rows.last.push(summary.last_event_at);
        rows.forgotten.push(summary.forgotten);
    }
    if rows.ids.is_empty() {
        return Ok(());
    }
    let forgotten: Vec<_> = summaries.iter().filter(|(_, summary)| summary.forgotten).map(|(id, _)| *id).collect();
    rows.execute(conn).await?;
    if !forgotten.is_empty() {
        Forget { orders: &forgotten }.execute(conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        numbers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        customer_ids: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        customer_names: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        emails: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        currencies: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        totals: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        skus: Vec<Value> as Array<Jsonb>,
        deadlines: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        placed: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        confirmed: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        shipped: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        ended: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        outcomes: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        reasons: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        last: Vec<DateTime<Utc>> as Array<Timestamptz>,
        forgotten: Vec<bool> as Array<Bool>,
    };
    "insert into orders as known (id, number, customer_id, customer_name, email, currency, total, skus, deadline, placed_at, \
        confirmed_at, shipped_at, ended_at, outcome, reason, last_event_at, forgotten) \
     select id, number, customer_id, case when not forgotten then name end, case when not forgotten then email end, currency, \
            total, array(select jsonb_array_elements_text(skus)), deadline, placed_at, confirmed_at, shipped_at, ended_at, \
            outcome, reason, last_event_at, forgotten \
     from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
        as new (id, number, customer_id, name, email, currency, total, skus, deadline, placed_at, confirmed_at, shipped_at, \
            ended_at, outcome, reason, last_event_at, forgotten) \
     on conflict (id) do update set \
        number = coalesce(excluded.number, known.number), \
        customer_id = coalesce(excluded.customer_id, known.customer_id), \
        customer_name = case when not (known.forgotten or excluded.forgotten) \
            then coalesce(excluded.customer_name, known.customer_name) end, \
        email = case when not (known.forgotten or excluded.forgotten) then coalesce(excluded.email, known.email) end, \
        currency = coalesce(excluded.currency, known.currency), \
        total = coalesce(excluded.total, known.total), \
        skus = case when excluded.skus = '{}' then known.skus else excluded.skus end, \
        deadline = coalesce(excluded.deadline, known.deadline), \
        placed_at = coalesce(known.placed_at, excluded.placed_at), \
        confirmed_at = coalesce(known.confirmed_at, excluded.confirmed_at), \
        shipped_at = least(known.shipped_at, excluded.shipped_at), \
        ended_at = coalesce(known.ended_at, excluded.ended_at), \
        outcome = coalesce(known.outcome, excluded.outcome), \
        reason = coalesce(known.reason, excluded.reason), \
        last_event_at = greatest(known.last_event_at, excluded.last_event_at), \
        forgotten = known.forgotten or excluded.forgotten"
}

prepared! {
    /// Takes the bodies of an order's events away: they say where somebody lives.
    struct Forget<'a> { orders: &'a [Uuid] as Array<SqlUuid> };
    "update events set body = null where order_id = any (?) and body is not null"
}

pub async fn find(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<Order>> {
    let found: Option<Value> = Find { id: &id }.get_result(conn).await.optional()?;
    Ok(super::read(found.into_iter().collect())?.pop())
}

prepared! {
    struct Find<'a> { id: &'a Uuid as SqlUuid } -> Jsonb;
    "select to_jsonb(orders) from orders where id = ?"
}

/// Which orders are looked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// An order's number or id, a customer's id or e-mail address, or a SKU, whole.
    pub text: Option<String>,
    /// going_on, confirmed, shipped, completed or cancelled.
    pub state: Option<String>,
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// The orders that fit, placed last first.
pub async fn search(conn: &mut AsyncPgConnection, search: &Search, limit: i64) -> QueryResult<Vec<Order>> {
    let Search { text, state, before } = search;
    let id = text.as_ref().and_then(|text| text.parse::<Uuid>().ok());
    let (at, after) = before.unzip();
    super::read(List { text, id: &id, state, at: &at, after: &after, limit: &limit }.load(conn).await?)
}

prepared! {
    struct List<'a> {
        text: &'a Option<String> as Nullable<Text>,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        state: &'a Option<String> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        after: &'a Option<Uuid> as Nullable<SqlUuid>,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    "with asked (text, id, state, at, after) as (values (?, ?, ?, ?, ?)) \
     select to_jsonb(orders) from orders, asked \
     where placed_at is not null \
        and (asked.text is null or orders.id = asked.id or number = asked.text or customer_id = asked.text \
            or lower(email) = lower(asked.text) or skus @> array[asked.text]) \
        and (asked.state is null or asked.state = case when outcome is not null then outcome \
            when shipped_at is not null then 'shipped' when confirmed_at is not null then 'confirmed' else 'pending' end) \
        and (asked.at is null or (placed_at, orders.id) < (asked.at, asked.after)) \
     order by placed_at desc, orders.id desc limit ?"
}
