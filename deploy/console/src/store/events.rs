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
}

/// Keeps events; one that is there already stays as it is.
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
    };
    "insert into events (id, topic, partition, record_offset, key, type, source, order_id, sequence, causation_id, time, \
        sent_at, headers, body) \
     select * from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
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

/// The newest events that fit, those heard last first.
pub async fn search(conn: &mut AsyncPgConnection, search: &Search, limit: i64) -> QueryResult<Vec<Event>> {
    let Search { topic, key, event_type, text, before } = search;
    let text = text.as_ref().map(|text| format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")));
    let (at, id) = before.unzip();
    let found = Find { topic, key, event_type, text: &text, at: &at, id: &id, limit: &limit }.load(conn).await?;
    super::read(found)
}

prepared! {
    struct Find<'a> {
        topic: &'a Option<String> as Nullable<Text>,
        key: &'a Option<String> as Nullable<Text>,
        event_type: &'a Option<String> as Nullable<Text>,
        text: &'a Option<String> as Nullable<Text>,
        at: &'a Option<DateTime<Utc>> as Nullable<Timestamptz>,
        id: &'a Option<Uuid> as Nullable<SqlUuid>,
        limit: &'a i64 as BigInt,
    } -> Jsonb;
    "with asked (topic, key, type, text, at, id) as (values (?, ?, ?, ?, ?, ?)) \
     select to_jsonb(events) from events, asked \
     where (asked.topic is null or events.topic = asked.topic) and (asked.key is null or events.key = asked.key) \
        and (asked.type is null or events.type = asked.type) \
        and (asked.text is null or events.body ilike asked.text or events.headers::text ilike asked.text) \
        and (asked.at is null or (events.heard_at, events.id) < (asked.at, asked.id)) \
     order by events.heard_at desc, events.id desc limit ?"
}
