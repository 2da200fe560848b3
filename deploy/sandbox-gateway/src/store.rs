//! All SQL of the gateway.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use service_kit::prepared;

use crate::StripeError;
use crate::faults::Faults;
use crate::intents::{Effect, Intent};
use crate::schema::{faults, idempotency_keys, journal, payment_intents, refunds};

/// Reads an intent and locks it: two steps on one intent run one after the other.
pub async fn lock_intent(conn: &mut AsyncPgConnection, id: &str) -> Result<Intent, StripeError> {
    let found =
        payment_intents::table.find(id).select(Intent::as_select()).for_update().first(conn).await.optional()?;
    found.ok_or_else(|| StripeError::missing("payment_intent", id))
}

pub async fn find_intent(conn: &mut AsyncPgConnection, id: &str) -> Result<Intent, StripeError> {
    let found = payment_intents::table.find(id).select(Intent::as_select()).first(conn).await.optional()?;
    found.ok_or_else(|| StripeError::missing("payment_intent", id))
}

pub async fn insert_intent(conn: &mut AsyncPgConnection, intent: &Intent) -> QueryResult<()> {
    diesel::insert_into(payment_intents::table).values(intent).execute(conn).await.map(drop)
}

/// Nobody asks a bank any more who began to before a restart: the caller may confirm again.
pub async fn ask_nobody(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let asking = payment_intents::table.filter(payment_intents::status.eq("processing"));
    diesel::update(asking).set(payment_intents::status.eq("requires_confirmation")).execute(conn).await
}

/// Like [`ask_nobody`], for one intent whose answer was lost.
pub async fn ask_no_longer(conn: &mut AsyncPgConnection, id: &str) -> QueryResult<usize> {
    let asking = payment_intents::table.find(id).filter(payment_intents::status.eq("processing"));
    diesel::update(asking).set(payment_intents::status.eq("requires_confirmation")).execute(conn).await
}

pub async fn save_intent(conn: &mut AsyncPgConnection, intent: &Intent) -> QueryResult<()> {
    diesel::update(payment_intents::table.find(&intent.id)).set(intent).execute(conn).await.map(drop)
}

/// Writes a line of the journal.
pub async fn note(
    conn: &mut AsyncPgConnection,
    intent: &Intent,
    effect: Effect,
    idempotency_key: Option<&str>,
) -> QueryResult<()> {
    let line = (
        journal::payment_intent.eq(&intent.id),
        journal::operation.eq(effect.operation),
        journal::amount.eq(effect.amount),
        journal::currency.eq(intent.currency.to_uppercase()),
        journal::order_id.eq(intent.metadata["order_id"].as_str()),
        journal::idempotency_key.eq(idempotency_key),
    );
    diesel::insert_into(journal::table).values(line).execute(conn).await.map(drop)
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Queryable, Selectable)]
#[diesel(table_name = journal)]
pub struct Line {
    /// Place in the journal.
    #[serde(skip)]
    pub id: i64,
    /// `pi_...`
    pub payment_intent: String,
    /// `authorise`, `capture`, `void` or `refund`.
    pub operation: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// From the intent's metadata.
    pub order_id: Option<String>,
    /// The key of the request that did it.
    pub idempotency_key: Option<String>,
    pub at: DateTime<Utc>,
}

/// The journal after `after`, in the order it was written, of one order or of all.
pub async fn journal_after(
    conn: &mut AsyncPgConnection,
    order_id: Option<&str>,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<Line>> {
    let lines = journal::table.filter(journal::id.gt(after)).select(Line::as_select()).into_boxed();
    let lines = match order_id {
        Some(order_id) => lines.filter(journal::order_id.eq(order_id.to_owned())),
        None => lines,
    };
    lines.order(journal::id).limit(limit).load(conn).await
}

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = refunds)]
pub struct Refund {
    /// `re_...`
    pub id: String,
    /// The intent whose money it gives back.
    pub payment_intent: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217, small letters.
    pub currency: String,
    /// What the caller attached.
    pub metadata: Value,
    pub created_at: DateTime<Utc>,
    /// Why the customer's bank gave it back, if it did.
    pub failure_reason: Option<String>,
}

impl Refund {
    /// The refund as Stripe shows it.
    pub fn object(&self) -> Value {
        let status = if self.failure_reason.is_some() { "failed" } else { "succeeded" };
        let mut object = json!({
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "created": self.created_at.timestamp(),
            "currency": self.currency,
            "metadata": self.metadata,
            "payment_intent": self.payment_intent,
            "status": status,
        });
        if let Some(reason) = &self.failure_reason {
            object["failure_reason"] = json!(reason);
        }
        object
    }
}

pub async fn find_refund(conn: &mut AsyncPgConnection, id: &str) -> Result<Refund, StripeError> {
    let found = refunds::table.find(id).select(Refund::as_select()).first(conn).await.optional()?;
    found.ok_or_else(|| StripeError::missing("refund", id))
}

pub async fn fail_refund(conn: &mut AsyncPgConnection, id: &str, reason: &str) -> QueryResult<()> {
    let failed = refunds::failure_reason.eq(reason);
    diesel::update(refunds::table.find(id)).set(failed).execute(conn).await.map(drop)
}

pub async fn insert_refund(conn: &mut AsyncPgConnection, refund: &Refund) -> QueryResult<()> {
    diesel::insert_into(refunds::table).values(refund).execute(conn).await.map(drop)
}

/// The newest refunds of an intent, at most `limit`, older than the refund `starting_after`.
pub async fn refunds_of(
    conn: &mut AsyncPgConnection,
    payment_intent: &str,
    starting_after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Refund>> {
    let mut query = refunds::table
        .filter(refunds::payment_intent.eq(payment_intent.to_owned()))
        .select(Refund::as_select())
        .into_boxed();
    if let Some(id) = starting_after {
        let before: Option<i64> = refunds::table.find(id).select(refunds::seq).first(conn).await.optional()?;
        query = query.filter(refunds::seq.lt(before.unwrap_or(0)));
    }
    query.order(refunds::seq.desc()).limit(limit).load(conn).await
}

/// What was answered to a request with an idempotency key.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys)]
pub struct Kept {
    pub key: String,
    pub path: String,
    pub parameters: Value,
    pub status: i32,
    pub body: Value,
}

/// Takes the key for this transaction; false when another request has it.
pub async fn take_key(conn: &mut AsyncPgConnection, key: &str) -> QueryResult<bool> {
    let lock = sql::<Bool>("pg_try_advisory_xact_lock(hashtextextended(").bind::<Text, _>(key).sql(", 0))");
    diesel::select(lock).get_result(conn).await
}

/// What was answered to the first request with this key.
pub async fn kept(conn: &mut AsyncPgConnection, key: &str) -> QueryResult<Option<Kept>> {
    idempotency_keys::table.find(key).select(Kept::as_select()).first(conn).await.optional()
}

pub async fn keep(conn: &mut AsyncPgConnection, answer: &Kept) -> QueryResult<()> {
    diesel::insert_into(idempotency_keys::table).values(answer).execute(conn).await.map(drop)
}

/// A delivery that the worker has taken.
#[derive(Clone, Debug, Queryable)]
pub struct Delivery {
    pub id: i64,
    pub event_id: String,
    /// What is sent, byte for byte.
    pub body: String,
    /// How often it was taken, this time included.
    pub tries: i32,
}

prepared! {
    struct InsertDelivery<'a> { event_id: &'a str as Text, body: &'a str as Text, wait: f64 as Double };
    "insert into webhook_deliveries (event_id, body, due_at) values (?, ?, now() + make_interval(secs => ?))"
}

/// Writes down a delivery, due after `wait`.
pub async fn insert_delivery(
    conn: &mut AsyncPgConnection,
    event_id: &str,
    body: &str,
    wait: Duration,
) -> QueryResult<()> {
    InsertDelivery { event_id, body, wait: wait.as_secs_f64() }.execute(conn).await.map(drop)
}

prepared! {
    struct TakeDeliveries<'a> { limit: &'a i64 as BigInt, lease: f64 as Double } -> (BigInt, Text, Text, Integer);
    "with due as materialized (select id from webhook_deliveries where delivered_at is null \
         and given_up_at is null and due_at <= now() order by due_at, id limit ? for update skip locked) \
     update webhook_deliveries as taken set tries = tries + 1, due_at = now() + make_interval(secs => ?) \
     from due where taken.id = due.id returning taken.id, taken.event_id, taken.body, taken.tries"
}

/// Takes deliveries that are due, for as long as `lease`.
pub async fn take_deliveries(conn: &mut AsyncPgConnection, limit: i64, lease: Duration) -> QueryResult<Vec<Delivery>> {
    TakeDeliveries { limit: &limit, lease: lease.as_secs_f64() }.load(conn).await
}

/// How long until the next delivery is due; none when nothing is to be delivered.
pub async fn next_delivery(conn: &mut AsyncPgConnection) -> QueryResult<Option<Duration>> {
    #[derive(QueryableByName)]
    struct Next {
        #[diesel(sql_type = Double)]
        seconds: f64,
    }
    let next = "select extract(epoch from due_at - now())::float8 as seconds from webhook_deliveries \
                where delivered_at is null and given_up_at is null order by due_at limit 1";
    let next: Option<Next> = sql_query(next).get_result(conn).await.optional()?;
    Ok(next.map(|next| Duration::try_from_secs_f64(next.seconds).unwrap_or_default()))
}

#[derive(Clone, Copy, Debug)]
pub struct Settled {
    pub id: i64,
    pub end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Delivered,
    GivenUp,
    PutOff { wait: Duration },
}

prepared! {
    struct SettleDeliveries<'a> {
        ids: Vec<i64> as Array<BigInt>,
        delivered: Vec<bool> as Array<Bool>,
        given_up: Vec<bool> as Array<Bool>,
        waits: &'a [Option<f64>] as Array<Nullable<Double>>,
    };
    "update webhook_deliveries known set \
         delivered_at = case when new.delivered then now() else known.delivered_at end, \
         given_up_at = case when new.given_up then now() else known.given_up_at end, \
         due_at = coalesce(now() + make_interval(secs => new.wait), known.due_at) \
     from unnest(?, ?, ?, ?) as new (id, delivered, given_up, wait) where known.id = new.id"
}

/// Records what came of deliveries, in one statement.
pub async fn settle_deliveries(conn: &mut AsyncPgConnection, settled: &[Settled]) -> QueryResult<()> {
    let ids = settled.iter().map(|settled| settled.id).collect();
    let delivered = settled.iter().map(|settled| settled.end == End::Delivered).collect();
    let given_up = settled.iter().map(|settled| settled.end == End::GivenUp).collect();
    let wait = |settled: &Settled| match settled.end {
        End::PutOff { wait } => Some(wait.as_secs_f64()),
        End::Delivered | End::GivenUp => None,
    };
    let waits: Vec<_> = settled.iter().map(wait).collect();
    SettleDeliveries { ids, delivered, given_up, waits: &waits }.execute(conn).await.map(drop)
}

pub async fn faults(conn: &mut AsyncPgConnection) -> Result<Faults, StripeError> {
    let switched: Value = faults::table.select(faults::switched).first(conn).await?;
    serde_json::from_value(switched).map_err(|error| {
        tracing::error!(%error, "the faults can't be read");
        StripeError::internal()
    })
}

pub async fn set_faults(conn: &mut AsyncPgConnection, faults: &Faults) -> QueryResult<()> {
    diesel::update(faults::table).set(faults::switched.eq(json!(faults))).execute(conn).await.map(drop)
}

/// The newest intents, at most `limit`, older than the intent `starting_after`.
pub async fn intents(
    conn: &mut AsyncPgConnection,
    starting_after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<Intent>> {
    let mut query = payment_intents::table.select(Intent::as_select()).into_boxed();
    if let Some(id) = starting_after {
        query = query.filter(payment_intents::id.lt(id.to_owned()));
    }
    // Ids are by time.
    query.order(payment_intents::id.desc()).limit(limit).load(conn).await
}
