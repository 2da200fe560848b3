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
    let words =
        summaries.iter().flat_map(|(id, summary)| summary.found_by.iter().map(move |word| (word.as_str(), *id)));
    let (terms, orders): (Vec<_>, Vec<_>) = words.unzip();
    if !terms.is_empty() {
        SaveWords { terms, orders }.execute(conn).await?;
    }
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
    struct SaveWords<'a> { terms: Vec<&'a str> as Array<Text>, orders: Vec<Uuid> as Array<SqlUuid> };
    "insert into found_by (term, order_id) select * from unnest(?, ?) on conflict do nothing"
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

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Confirmed,
    Shipped,
    Completed,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Confirmed, Self::Shipped, Self::Completed, Self::Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }
}

impl Order {
    /// How far it is, as far as was heard.
    pub fn state(&self) -> State {
        match (self.outcome.as_deref(), self.shipped_at, self.confirmed_at) {
            (Some("cancelled"), ..) => State::Cancelled,
            (Some(_), ..) => State::Completed,
            (None, Some(_), _) => State::Shipped,
            (None, None, Some(_)) => State::Confirmed,
            (None, None, None) => State::Pending,
        }
    }
}

/// Which orders are looked for.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// An order's number or id, a customer's id or e-mail address, a SKU, a tracking number, or what the gateway, a payment, a
    /// parcel or a refund is called: whole.
    pub text: Option<String>,
    pub state: Option<State>,
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// The orders that fit, placed last first.
pub async fn search(conn: &mut AsyncPgConnection, search: &Search, limit: i64) -> QueryResult<Vec<Order>> {
    let (at, after) = &search.before.unzip();
    let (state, limit) = (&search.state.map(State::name), &limit);
    let rows: Vec<Value> = match (&search.text, search.state) {
        (Some(text), _) => {
            let id = &text.parse::<Uuid>().ok();
            let lower = &text.to_lowercase();
            Named { text, id, lower, state, at, after, limit }.load(conn).await?
        }
        (None, Some(ended)) if ended.has_ended() => {
            Ended { outcome: ended.name(), at, after, limit }.load(conn).await?
        }
        (None, Some(_)) => GoingOn { state, at, after, limit }.load(conn).await?,
        (None, None) => Newest { at, after, limit }.load(conn).await?,
    };
    super::read(rows)
}

/// SQL that tells how far an order is.
macro_rules! state {
    () => {
        "case when outcome is not null then outcome when shipped_at is not null then 'shipped' \
            when confirmed_at is not null then 'confirmed' else 'pending' end"
    };
}

/// SQL that goes on before an order, if there is one; an index on (placed_at, id) knows it.
macro_rules! before {
    () => {
        "(placed_at, id) < (coalesce(?, 'infinity'::timestamptz), coalesce(?, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))"
    };
}

prepared! {
    struct Newest<'a> {
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        after: &'a Option<Uuid> as Nullable<SqlUuid>,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    concat!("select to_jsonb(orders) from orders where ", before!(), " order by placed_at desc, id desc limit ?")
}

prepared! {
    struct GoingOn<'a> {
        state: &'a Option<&'static str> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        after: &'a Option<Uuid> as Nullable<SqlUuid>,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    concat!("select to_jsonb(orders) from orders where ended_at is null and ", state!(), " = ? and ", before!(),
        " order by placed_at desc, id desc limit ?")
}

prepared! {
    struct Ended<'a> {
        outcome: &'a str as Text,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        after: &'a Option<Uuid> as Nullable<SqlUuid>,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    concat!("select to_jsonb(orders) from orders where outcome = ? and ", before!(), " order by placed_at desc, id desc limit ?")
}

prepared! {
    /// Each kind of word is looked up in its own index. One that nothing was heard of but its id is shown, too.
    struct Named<'a> {
        text: &'a str as Text,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        lower: &'a str as Text,
        state: &'a Option<&'static str> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        after: &'a Option<Uuid> as Nullable<SqlUuid>,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    concat!(
        "with asked (text, id, lower, state, at, after, most) as materialized (select ?::text, ?::uuid, ?::text, ?::text, \
            coalesce(?, 'infinity'::timestamptz), coalesce(?, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid), ?::bigint), \
         found (id) as ( \
            select orders.id from orders, asked where orders.id = asked.id \
            union select orders.id from orders, asked where number = upper(asked.text) and number is not null \
            union select order_id from found_by, asked where term = asked.lower \
            union select * from (select orders.id from orders, asked where customer_id = asked.text \
                and (placed_at, orders.id) < (asked.at, asked.after) and (asked.state is null or ", state!(), " = asked.state) \
                order by placed_at desc, orders.id desc limit (select most from asked)) part \
            union select * from (select orders.id from orders, asked where lower(email) = asked.lower \
                and (placed_at, orders.id) < (asked.at, asked.after) and (asked.state is null or ", state!(), " = asked.state) \
                order by placed_at desc, orders.id desc limit (select most from asked)) part \
            union select * from (select orders.id from orders, asked where skus @> array[asked.text] \
                and (placed_at, orders.id) < (asked.at, asked.after) and (asked.state is null or ", state!(), " = asked.state) \
                order by placed_at desc, orders.id desc limit (select most from asked)) part) \
         select to_jsonb(orders) from orders, asked where orders.id in (select id from found) \
            and (coalesce(placed_at, last_event_at), orders.id) < (asked.at, asked.after) \
            and (asked.state is null or ", state!(), " = asked.state) \
         order by coalesce(placed_at, last_event_at) desc, orders.id desc limit (select most from asked)"
    )
}

/// What people call these orders, where a number was heard.
pub async fn numbers(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> QueryResult<BTreeMap<Uuid, String>> {
    let found: Vec<(Uuid, String)> = super::read(Numbers { ids }.load(conn).await?)?;
    Ok(found.into_iter().collect())
}

prepared! {
    struct Numbers<'a> { ids: &'a [Uuid] as Array<SqlUuid> } -> Jsonb;
    "select jsonb_build_array(id, number) from orders where id = any (?) and number is not null"
}
