//! Calls to the gateway that were decided on. At most one of a payment is unfinished.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{dsl::now, prelude::*, sql_query, sql_types};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::retry;
use shared_events::{EventId, GatewayOperation, OrderId, PaymentId, RefundId};
use uuid::Uuid;

use super::roots::Cause;
use crate::{
    domain::{Call, Payment},
    schema::gateway_calls,
};

/// How long a call is left to the worker that took it; how long it waits, that is, when that worker was killed.
pub(super) const LEASE: Duration = Duration::from_secs(20);
/// How long a worker may ask: it ends before its lease does.
pub const ASKING: Duration = Duration::from_secs(18);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A call that a worker has taken.
#[derive(Clone, Debug)]
pub struct TakenCall {
    /// Its key at the gateway.
    pub key: String,
    /// Whose payment.
    pub order_id: OrderId,
    /// What is to be asked.
    pub call: Call,
    /// How often it was taken, this time included.
    pub tries: u32,
    /// Why.
    pub cause: Cause,
}

/// Why a call has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of few.
    pub code: &'static str,
    /// In words, without personal data.
    pub text: String,
}

/// Texts are kept up to this length.
const LONGEST_TEXT: usize = 300;

/// The operation's name in tables.
pub const fn name_of(operation: GatewayOperation) -> &'static str {
    match operation {
        GatewayOperation::Authorise => "authorise",
        GatewayOperation::Capture => "capture",
        GatewayOperation::Void => "void",
        GatewayOperation::Refund => "refund",
    }
}

fn call_of(operation: &str, refund_id: Option<Uuid>) -> Option<Call> {
    match (operation, refund_id) {
        ("authorise", None) => Some(Call::Authorise),
        ("capture", None) => Some(Call::Capture),
        ("void", None) => Some(Call::Void),
        ("refund", Some(id)) => Some(Call::Refund(RefundId(id))),
        _ => None,
    }
}

/// Writes down what is to be asked; the worker asks it after the commit. An intent that was to be ended, and was not because
/// its customer had acted, may be ended later after all: that is the same call, under the same key.
///
/// # Errors
/// The database; a second unfinished call of a payment is a violation of a unique index.
pub async fn insert(conn: &mut AsyncPgConnection, payment: &Payment, call: Call, cause: &Cause) -> QueryResult<()> {
    let refund_id = match call {
        Call::Refund(id) => Some(id.0),
        Call::Authorise | Call::Capture | Call::Void => None,
    };
    let row = (
        gateway_calls::key.eq(payment.key(call)),
        gateway_calls::payment_id.eq(payment.id.0),
        gateway_calls::order_id.eq(payment.order_id.0),
        gateway_calls::operation.eq(name_of(call.operation())),
        gateway_calls::refund_id.eq(refund_id),
        gateway_calls::caused_by.eq(cause.event.map(|event| event.0)),
        gateway_calls::traceparent.eq(cause.traceparent.as_deref()),
    );
    let again = (
        gateway_calls::tries.eq(0),
        gateway_calls::due_at.eq(now),
        gateway_calls::created_at.eq(now),
        gateway_calls::leased_until.eq(None::<DateTime<Utc>>),
        gateway_calls::error_code.eq(None::<String>),
        gateway_calls::error.eq(None::<String>),
        gateway_calls::failing_since.eq(None::<DateTime<Utc>>),
        gateway_calls::finished_at.eq(None::<DateTime<Utc>>),
        gateway_calls::outcome.eq(None::<String>),
        gateway_calls::caused_by.eq(cause.event.map(|event| event.0)),
        gateway_calls::traceparent.eq(cause.traceparent.as_deref()),
    );
    let insert = diesel::insert_into(gateway_calls::table).values(row);
    let inserted = match call {
        Call::Void => insert.on_conflict(gateway_calls::key).do_update().set(again).execute(conn).await,
        Call::Authorise | Call::Capture | Call::Refund(_) => insert.execute(conn).await,
    };
    inserted.map(drop)
}

#[derive(QueryableByName)]
struct TakenRow {
    #[diesel(sql_type = sql_types::Text)]
    key: String,
    #[diesel(sql_type = sql_types::Uuid)]
    order_id: Uuid,
    #[diesel(sql_type = sql_types::Text)]
    operation: String,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    refund_id: Option<Uuid>,
    #[diesel(sql_type = sql_types::Integer)]
    tries: i32,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>)]
    caused_by: Option<Uuid>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    traceparent: Option<String>,
}

impl TakenRow {
    fn taken(self) -> Option<TakenCall> {
        let Some(call) = call_of(&self.operation, self.refund_id) else {
            tracing::error!(call = self.key, operation = self.operation, "a call that this version does not know");
            return None;
        };
        let cause = Cause { event: self.caused_by.map(EventId), traceparent: self.traceparent };
        let (order_id, tries) = (OrderId(self.order_id), u32::try_from(self.tries).unwrap_or(u32::MAX));
        Some(TakenCall { key: self.key, order_id, call, tries, cause })
    }
}

/// Takes up to `limit` due calls under a lease. The count of tries is kept before the gateway is called, so that after a
/// crash a call is known to have been made, perhaps.
pub async fn take(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<TakenCall>> {
    let rows: Vec<TakenRow> = sql_query(
        "with due as materialized (select key from gateway_calls where finished_at is null and due_at <= now() \
                                   and (leased_until is null or leased_until <= now()) \
                                   order by due_at limit $1 for update skip locked) \
         update gateway_calls set tries = tries + 1, due_at = now() + make_interval(secs => $2), \
                                  leased_until = now() + make_interval(secs => $2) \
         from due where gateway_calls.key = due.key \
         returning gateway_calls.key, order_id, operation, refund_id, tries, caused_by, traceparent",
    )
    .bind::<sql_types::BigInt, _>(limit)
    .bind::<sql_types::Double, _>(LEASE.as_secs_f64())
    .load(conn)
    .await?;
    Ok(rows.into_iter().filter_map(TakenRow::taken).collect())
}

/// How long until the next unfinished call is due, as its lease or its last put-off says.
pub async fn next_due(conn: &mut AsyncPgConnection) -> QueryResult<Option<Duration>> {
    let next: Option<(DateTime<Utc>, DateTime<Utc>)> = gateway_calls::table
        .filter(gateway_calls::finished_at.is_null())
        .order(gateway_calls::due_at)
        .select((gateway_calls::due_at, now.into_sql::<sql_types::Timestamptz>()))
        .first(conn)
        .await
        .optional()?;
    Ok(next.map(|(due_at, asked)| (due_at - asked).to_std().unwrap_or_default()))
}

/// Takes the payment's unfinished call under a lease, due or not; nothing where there is none, or another worker has it.
pub async fn take_of(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<Option<TakenCall>> {
    let row: Option<TakenRow> = sql_query(
        "update gateway_calls set tries = tries + 1, due_at = now() + make_interval(secs => $2), \
                                  leased_until = now() + make_interval(secs => $2) \
         where payment_id = $1 and finished_at is null and (leased_until is null or leased_until <= now()) \
         returning key, order_id, operation, refund_id, tries, caused_by, traceparent",
    )
    .bind::<sql_types::Uuid, _>(payment.0)
    .bind::<sql_types::Double, _>(LEASE.as_secs_f64())
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.and_then(TakenRow::taken))
}

/// Whether the call is still unfinished. To be asked under the payment's lock.
pub async fn is_unfinished(conn: &mut AsyncPgConnection, key: &str) -> QueryResult<bool> {
    let unfinished = gateway_calls::table.find(key).filter(gateway_calls::finished_at.is_null());
    diesel::select(diesel::dsl::exists(unfinished)).get_result(conn).await
}

/// The key of the payment's unfinished call.
pub async fn unfinished(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<Option<String>> {
    let unfinished = gateway_calls::table
        .filter(gateway_calls::payment_id.eq(payment.0))
        .filter(gateway_calls::finished_at.is_null());
    unfinished.select(gateway_calls::key).first(conn).await.optional()
}

/// Ends the call: no worker takes it any more, and the payment may have another.
pub async fn finish(conn: &mut AsyncPgConnection, key: &str, outcome: &str) -> QueryResult<()> {
    let end = (gateway_calls::finished_at.eq(now), gateway_calls::outcome.eq(outcome));
    diesel::update(gateway_calls::table.find(key)).set(end).execute(conn).await.map(drop)
}

/// Makes the payment's unfinished call due. One that a worker has stays that worker's: it is due once that one puts it
/// off, or its lease has ended.
pub async fn hasten(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<()> {
    let unfinished = gateway_calls::table
        .filter(gateway_calls::payment_id.eq(payment.0))
        .filter(gateway_calls::finished_at.is_null());
    diesel::update(unfinished).set(gateway_calls::due_at.eq(now)).execute(conn).await.map(drop)
}

/// Puts the call off: each time longer, with jitter, a minute at most; not at all when it was hastened meanwhile. Nothing
/// happens when another worker has taken it since: the lease is that one's. Why is kept with it, and since when.
pub async fn put_off(conn: &mut AsyncPgConnection, call: &TakenCall, failure: &Failure) -> QueryResult<()> {
    let wait = retry::wait_after(call.tries.saturating_sub(1), FIRST_WAIT, LONGEST_WAIT);
    sql_query(
        "update gateway_calls set leased_until = null, \
             due_at = case when due_at < leased_until then now() else now() + make_interval(secs => $2) end, \
             error_code = $4, error = left($5, $6), failing_since = coalesce(failing_since, now()) \
         where key = $1 and finished_at is null and tries = $3",
    )
    .bind::<sql_types::Text, _>(&call.key)
    .bind::<sql_types::Double, _>(wait.as_secs_f64())
    .bind::<sql_types::Integer, _>(i32::try_from(call.tries).unwrap_or(i32::MAX))
    .bind::<sql_types::Text, _>(failure.code)
    .bind::<sql_types::Text, _>(&failure.text)
    .bind::<sql_types::Integer, _>(i32::try_from(LONGEST_TEXT).unwrap_or(i32::MAX))
    .execute(conn)
    .await
    .map(drop)
}

/// Puts a call back that could not be made since the gateway is away: it stays due, behind those that were not taken yet, and
/// that it was taken was no try. Why is kept with it, and since when.
pub async fn put_back(conn: &mut AsyncPgConnection, call: &TakenCall, failure: &Failure) -> QueryResult<()> {
    sql_query(
        "update gateway_calls set leased_until = null, due_at = now(), tries = tries - 1, \
             error_code = $3, error = left($4, $5), failing_since = coalesce(failing_since, now()) \
         where key = $1 and finished_at is null and tries = $2",
    )
    .bind::<sql_types::Text, _>(&call.key)
    .bind::<sql_types::Integer, _>(i32::try_from(call.tries).unwrap_or(i32::MAX))
    .bind::<sql_types::Text, _>(failure.code)
    .bind::<sql_types::Text, _>(&failure.text)
    .bind::<sql_types::Integer, _>(i32::try_from(LONGEST_TEXT).unwrap_or(i32::MAX))
    .execute(conn)
    .await
    .map(drop)
}

/// The call that has waited longest for an answer, of those that have failed for more than a few seconds.
#[derive(Clone, Debug, QueryableByName)]
pub struct Failing {
    /// What it asks for.
    #[diesel(sql_type = sql_types::Text)]
    pub operation: String,
    /// Why it has no answer.
    #[diesel(sql_type = sql_types::Text)]
    pub error_code: String,
    /// In words.
    #[diesel(sql_type = sql_types::Text)]
    pub error: String,
    /// Since when it fails.
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub since: chrono::DateTime<chrono::Utc>,
}

/// The call that has been failing for longest, if one has for so long.
pub async fn failing(conn: &mut AsyncPgConnection, longer_than: Duration) -> QueryResult<Option<Failing>> {
    let sql = "select operation, error_code, error, failing_since as since from gateway_calls \
               where finished_at is null and failing_since is not null \
                     and failing_since < now() - make_interval(secs => $1) order by failing_since limit 1";
    let query = sql_query(sql).bind::<sql_types::Double, _>(longer_than.as_secs_f64());
    query.get_result(conn).await.optional()
}
