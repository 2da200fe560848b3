//! The events that were heard.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::consumer::Incoming;
use service_kit::prepared;
use uuid::Uuid;

use super::money;
use crate::heard::{Heard, order_of};

/// An event as it was heard.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Event {
    pub id: Uuid,
    pub topic: String,
    pub partition: i32,
    pub record_offset: i64,
    pub key: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub source: String,
    pub order_id: Option<Uuid>,
    pub sequence: Option<i64>,
    pub causation_id: Option<Uuid>,
    pub time: DateTime<Utc>,
    pub sent_at: Option<DateTime<Utc>>,
    pub heard_at: DateTime<Utc>,
    pub headers: Vec<(String, String)>,
    /// None once its person is forgotten.
    pub body: Option<String>,
    /// What it says of money, if it is about a payment: that stays.
    #[serde(default)]
    pub money: Option<Value>,
}

/// Keeps events; one that is there already stays as it is, and one of an order whose person is forgotten has no body.
pub async fn save(conn: &mut AsyncPgConnection, heard: &[Incoming<Arc<Heard>>]) -> QueryResult<()> {
    let mut rows = Save::default();
    for incoming in heard {
        let (envelope, place, event) = (&incoming.envelope, &incoming.place, &incoming.event);
        rows.ids.push(envelope.id);
        rows.topics.push(&place.topic);
        rows.partitions.push(place.partition);
        rows.offsets.push(place.offset);
        rows.keys.push(&incoming.key);
        rows.types.push(&envelope.event_type);
        rows.sources.push(&envelope.source);
        rows.orders.push(order_of(incoming));
        rows.sequences.push(envelope.sequence);
        rows.causations.push(envelope.causation_id);
        rows.times.push(envelope.time);
        rows.sent.push(event.sent_at);
        rows.headers.push(json!(event.headers));
        rows.bodies.push(&event.body);
        rows.moneys.push(money::said(&place.topic, &event.body));
    }
    if !rows.ids.is_empty() {
        rows.execute(conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        topics: Vec<&'a str> as Array<Text>,
        partitions: Vec<i32> as Array<Integer>,
        offsets: Vec<i64> as Array<BigInt>,
        keys: Vec<&'a str> as Array<Text>,
        types: Vec<&'a str> as Array<Text>,
        sources: Vec<&'a str> as Array<Text>,
        orders: Vec<Option<Uuid>> as Array<Nullable<SqlUuid>>,
        sequences: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        causations: Vec<Option<Uuid>> as Array<Nullable<SqlUuid>>,
        times: Vec<DateTime<Utc>> as Array<Timestamptz>,
        sent: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        headers: Vec<Value> as Array<Jsonb>,
        bodies: Vec<&'a str> as Array<Text>,
        moneys: Vec<Option<Value>> as Array<Nullable<Jsonb>>,
    };
    "insert into events (id, topic, partition, record_offset, key, type, source, order_id, sequence, causation_id, time, \
        sent_at, headers, body, money) \
     select new.id, topic, partition, record_offset, key, type, source, order_id, sequence, causation_id, time, sent_at, headers, \
        case when orders.forgotten then null else body end, money \
     from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
        as new (id, topic, partition, record_offset, key, type, source, order_id, sequence, causation_id, time, sent_at, \
            headers, body, money) \
        left join orders on orders.id = new.order_id \
     on conflict (id) do nothing"
}

/// The events of an order, in the order in which the changes were made; 1,000 at most.
pub async fn of_order(conn: &mut AsyncPgConnection, order: Uuid) -> QueryResult<Vec<Event>> {
    super::read(OfOrder { order: &order }.load(conn).await?)
}

prepared! {
    struct OfOrder<'a> { order: &'a Uuid as SqlUuid } -> Jsonb;
    "select to_jsonb(events) from events where order_id = ? order by time, id limit 1000"
}

/// Some of the events of an order, in the order in which the changes were made, without the first `skip`.
pub async fn page_of_order(
    conn: &mut AsyncPgConnection,
    order: Uuid,
    skip: i64,
    limit: i64,
) -> QueryResult<Vec<Event>> {
    super::read(PageOfOrder { order: &order, limit: &limit, skip: &skip }.load(conn).await?)
}

prepared! {
    struct PageOfOrder<'a> { order: &'a Uuid as SqlUuid, limit: &'a i64 as BigInt, skip: &'a i64 as BigInt } -> Jsonb;
    "select to_jsonb(events) from events where order_id = ? order by time, id limit ? offset ?"
}

/// What is looked for among events.
#[derive(Clone, Debug, Default)]
pub struct Search {
    pub topic: Option<String>,
    pub key: Option<String>,
    pub event_type: Option<String>,
    /// Anywhere in the headers or in the body.
    pub text: Option<String>,
    /// Those that were heard before this one.
    pub before: Option<(DateTime<Utc>, Uuid)>,
}

/// What was found among events.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Found {
    pub events: Vec<Event>,
    /// How many were looked at, and the one that was looked at last.
    pub looked_at: i64,
    pub last: Option<(DateTime<Utc>, Uuid)>,
}

/// How many events one search looks at: a text is in no index.
pub const LOOKED_AT: i64 = 3_000;

/// The newest events that fit, those heard last first, among so many as one search looks at.
pub async fn search(conn: &mut AsyncPgConnection, search: &Search, limit: i64) -> QueryResult<Found> {
    let Search { topic, key, event_type, text, before } = search;
    // Letters that are not ASCII stay as they are: whatever the database's locale, comparing costs little.
    let text = &text.as_ref().map(|text| text.to_ascii_lowercase());
    let (at, id) = &before.unzip();
    let (most, limit) = (if text.is_some() { &LOOKED_AT } else { &limit }, &limit);
    let found: Vec<Value> = match (key, event_type) {
        (Some(key), _) => OfKey { text, topic, event_type, at, id, key, most, limit }.load(conn).await?,
        (None, Some(event_type)) => OfType { text, topic, at, id, event_type, most, limit }.load(conn).await?,
        (None, None) => match topic {
            Some(topic) => OfTopic { text, at, id, topic, most, limit }.load(conn).await?,
            None => Newest { text, at, id, most, limit }.load(conn).await?,
        },
    };
    Ok(super::read(found)?.pop().unwrap_or_default())
}

/// SQL that looks at the newest events on an index that leads from one to the next, and keeps those with a text.
macro_rules! newest {
    ($where:literal) => {
        concat!(
            "with asked (text) as (values (?)), \
             looked_at as materialized (select id, heard_at, asked.text is null \
                    or position(asked.text in lower(body collate \"C\")) > 0 \
                    or position(asked.text in lower(headers::text collate \"C\")) > 0 as fits \
                from events, asked where ",
            $where,
            " \
                order by heard_at desc, id desc limit ?) \
             select jsonb_build_object('looked_at', (select count(*) from looked_at), \
                'last', (select jsonb_build_array(heard_at, id) from looked_at order by heard_at, id limit 1), \
                'events', (select coalesce(jsonb_agg(to_jsonb(events) order by heard_at desc, id desc), '[]') from events \
                    where id in (select id from looked_at where fits order by heard_at desc, id desc limit ?)))"
        )
    };
}

prepared! {
    struct Newest<'a> {
        text: &'a Option<String> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        most: &'a i64 as BigInt,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    newest!(
        "(heard_at, id) < (coalesce(?, 'infinity'::timestamptz), \
            coalesce(?, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))"
    )
}

prepared! {
    struct OfTopic<'a> {
        text: &'a Option<String> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        topic: &'a str as Text,
        most: &'a i64 as BigInt,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    newest!(
        "(heard_at, id) < (coalesce(?, 'infinity'::timestamptz), \
            coalesce(?, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) and topic = ?"
    )
}

prepared! {
    struct OfKey<'a> {
        text: &'a Option<String> as Nullable<Text>,
        topic: &'a Option<String> as Nullable<Text>,
        event_type: &'a Option<String> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        key: &'a str as Text,
        most: &'a i64 as BigInt,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    newest!(
        "(topic = ? or $2 is null) and (type = ? or $3 is null) and (heard_at, id) < (coalesce(?, 'infinity'::timestamptz), \
            coalesce(?, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) and key = ?"
    )
}

prepared! {
    struct OfType<'a> {
        text: &'a Option<String> as Nullable<Text>,
        topic: &'a Option<String> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        event_type: &'a str as Text,
        most: &'a i64 as BigInt,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    newest!(
        "(topic = ? or $2 is null) and (heard_at, id) < (coalesce(?, 'infinity'::timestamptz), \
            coalesce(?, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)) and type = ?"
    )
}

/// Who was heard saying what, on which topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Saying {
    pub topic: String,
    pub source: String,
    #[serde(rename = "type")]
    pub event_type: String,
}

/// Every combination of topic, source and type that was heard; 500 at most.
pub async fn sayings(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Saying>> {
    super::read(Sayings { most: &500 }.load(conn).await?)
}

prepared! {
    /// Goes from one combination to the next on the index, however many events there are of each.
    struct Sayings<'a> { most: &'a i64 as BigInt } -> Jsonb;
    "with recursive said (topic, source, type, place) as ( \
        (select topic, source, type, 1::bigint from events order by topic, source, type limit 1) \
        union all \
        select next.topic, next.source, next.type, place + 1 from said cross join lateral ( \
            select topic, source, type from events where (events.topic, events.source, events.type) \
                > (said.topic, said.source, said.type) order by topic, source, type limit 1) next \
        where place < ?) \
     select jsonb_build_object('topic', topic, 'source', source, 'type', type) from said order by topic, source, type"
}
