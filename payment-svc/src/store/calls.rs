//! Calls to the gateway that were decided on. At most one of a payment is unfinished.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::sql_types::{self, Array, BigInt, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{dsl::now, prelude::*, sql_query};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::{prepared, retry};
use shared_events::{EventId, GatewayOperation, OrderId, PaymentId, RefundId};
use uuid::Uuid;

use super::payments::{self, Look, LookRow, joined, look};
use super::{Causation, unreadable};
use crate::domain::{Call, Payment};
use crate::schema::gateway_calls;

/// How long a worker may keep a call, and so how long the call waits if that worker was killed.
pub(super) const LEASE: Duration = Duration::from_secs(20);
/// How long a worker may ask: less than its lease.
pub const ASKING: Duration = Duration::from_secs(18);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A call that a worker has taken, and its payment as it was then.
#[derive(Clone, Debug)]
pub struct TakenCall {
    /// Its key at the gateway.
    pub key: String,
    pub order_id: OrderId,
    pub call: Call,
    /// How often it was taken, this time included.
    pub tries: u32,
    pub causation: Causation,
    pub payment: Payment,
    /// When it was taken, by the database's clock: one for all workers, whatever their machines' say.
    pub taken_at: DateTime<Utc>,
    /// Since when it was due then.
    pub due_at: DateTime<Utc>,
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

/// A call that was decided on: the worker makes it after the commit.
#[derive(Clone, Debug)]
pub(super) struct NewCall {
    pub key: String,
    payment_id: PaymentId,
    order_id: OrderId,
    call: Call,
    causation: Causation,
}

impl NewCall {
    pub fn of(payment: &Payment, call: Call, causation: &Causation) -> Self {
        let (payment_id, order_id, causation) = (payment.id, payment.order_id, causation.clone());
        Self { key: payment.key(call), payment_id, order_id, call, causation }
    }
}

/// A taken call that is to be made again later.
#[derive(Clone, Debug)]
pub struct PutOff {
    key: String,
    tries: i32,
    wait: Duration,
    /// 1 if taking it did not count as a try.
    uncounted: i32,
    failure: Failure,
}

impl PutOff {
    /// Each wait is longer than the one before, with jitter, a minute at most; there is none if it was hastened
    /// meanwhile.
    pub fn later(call: &TakenCall, failure: Failure) -> Self {
        let wait = retry::wait_after(call.tries.saturating_sub(1), FIRST_WAIT, LONGEST_WAIT);
        let tries = i32::try_from(call.tries).unwrap_or(i32::MAX);
        Self { key: call.key.clone(), tries, wait, uncounted: 0, failure }
    }

    /// This version can't read the call or its payment.
    fn unread(key: String, tries: i32, why: &diesel::result::Error) -> Self {
        let wait = retry::wait_after(tries.saturating_sub(1).unsigned_abs(), FIRST_WAIT, LONGEST_WAIT);
        Self { key, tries, wait, uncounted: 0, failure: Failure { code: "payment_svc", text: why.to_string() } }
    }

    /// The gateway is away: the call stays due, behind those not taken yet, and taking it did not count as a try.
    pub fn put_back(call: &TakenCall, failure: Failure) -> Self {
        Self { wait: Duration::ZERO, uncounted: 1, ..Self::later(call, failure) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Changes {
    pub put_off: Vec<PutOff>,
    pub finished: Vec<(String, &'static str)>,
    pub made: Vec<NewCall>,
    pub hastened: Vec<String>,
}

/// Writes what was decided about calls. A payment's next call may be written once the one before it is finished.
pub(super) async fn save(mut conn: &AsyncPgConnection, changes: &Changes) -> QueryResult<()> {
    if !changes.put_off.is_empty() {
        put_off(conn, &changes.put_off).await?;
    }
    if !changes.finished.is_empty() {
        let (keys, outcomes) = changes.finished.iter().map(|(key, outcome)| (key.as_str(), *outcome)).unzip();
        Finish { keys, outcomes }.execute(&mut conn).await?;
    }
    if !changes.made.is_empty() {
        make(conn, &changes.made).await?;
    }
    if !changes.hastened.is_empty() {
        Hasten { keys: &changes.hastened }.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    struct Finish<'a> { keys: Vec<&'a str> as Array<Text>, outcomes: Vec<&'a str> as Array<Text> };
    "update gateway_calls set finished_at = now(), outcome = ended.outcome from unnest(?, ?) as ended (key, outcome) \
     where gateway_calls.key = ended.key"
}

prepared! {
    /// A leased call stays with its worker until the lease ends or the worker reschedules it.
    struct Hasten<'a> { keys: &'a [String] as Array<Text> };
    "update gateway_calls set due_at = now() where key = any(?) and finished_at is null"
}

async fn make(mut conn: &AsyncPgConnection, made: &[NewCall]) -> QueryResult<()> {
    let mut rows = Make::default();
    for new in made {
        rows.keys.push(&new.key);
        rows.payments.push(new.payment_id.0);
        rows.orders.push(new.order_id.0);
        rows.operations.push(name_of(new.call.operation()));
        rows.refunds.push(match new.call {
            Call::Refund(id) => Some(id.0),
            Call::Authorise | Call::Capture | Call::Void => None,
        });
        rows.causes.push(new.causation.event.map(|event| event.0));
        rows.traceparents.push(new.causation.traceparent.as_deref());
    }
    let written = rows.execute(&mut conn).await?;
    if written == made.len() { Ok(()) } else { Err(unreadable("the key of a call was used before")) }
}

prepared! {
    /// An intent that was left open because its customer had acted may be ended later: the same call, under the same
    /// key.
    #[derive(Default)]
    struct Make<'a> {
        keys: Vec<&'a str> as Array<Text>,
        payments: Vec<Uuid> as Array<SqlUuid>,
        orders: Vec<Uuid> as Array<SqlUuid>,
        operations: Vec<&'a str> as Array<Text>,
        refunds: Vec<Option<Uuid>> as Array<Nullable<SqlUuid>>,
        causes: Vec<Option<Uuid>> as Array<Nullable<SqlUuid>>,
        traceparents: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "insert into gateway_calls (key, payment_id, order_id, operation, refund_id, caused_by, traceparent) \
     select * from unnest(?, ?, ?, ?, ?, ?, ?) \
     on conflict (key) do update set tries = 0, due_at = now(), created_at = now(), leased_until = null, error_code = null, \
         error = null, failing_since = null, finished_at = null, outcome = null, caused_by = excluded.caused_by, \
         traceparent = excluded.traceparent \
     where gateway_calls.operation = 'void' and gateway_calls.finished_at is not null"
}

/// Reschedules taken calls, and keeps with each why and since when it fails. A call that another worker has taken since
/// is left alone: the lease is that worker's.
pub async fn put_off(mut conn: &AsyncPgConnection, calls: &[PutOff]) -> QueryResult<()> {
    let mut rows = Reschedule::default();
    for call in calls {
        rows.keys.push(&call.key);
        rows.tries.push(call.tries);
        rows.waits.push(call.wait.as_secs_f64());
        rows.uncounted.push(call.uncounted);
        rows.codes.push(call.failure.code);
        rows.texts.push(call.failure.text.chars().take(LONGEST_TEXT).collect());
    }
    rows.execute(&mut conn).await.map(drop)
}

prepared! {
    #[derive(Default)]
    struct Reschedule<'a> {
        keys: Vec<&'a str> as Array<Text>,
        tries: Vec<i32> as Array<Integer>,
        waits: Vec<f64> as Array<Double>,
        uncounted: Vec<i32> as Array<Integer>,
        codes: Vec<&'a str> as Array<Text>,
        texts: Vec<String> as Array<Text>,
    };
    "update gateway_calls set leased_until = null, tries = gateway_calls.tries - put_off.uncounted, \
         due_at = case when due_at < leased_until then now() else now() + make_interval(secs => wait) end, \
         error_code = put_off.code, error = put_off.text, failing_since = coalesce(failing_since, now()) \
     from unnest(?, ?, ?, ?, ?, ?) as put_off (key, tries, wait, uncounted, code, text) \
     where gateway_calls.key = put_off.key and finished_at is null and gateway_calls.tries = put_off.tries"
}

/// A taken call, and a row of the look at its payment.
type TakenRow = ((String, Option<Uuid>, i32, Option<Uuid>, Option<String>, DateTime<Utc>), LookRow);
/// The types of a [`TakenRow`].
type Taken = ((Text, Nullable<SqlUuid>, Integer, Nullable<SqlUuid>, Nullable<Text>, Timestamptz), Look);

/// What a taken call is returned as, and the look at its payment.
macro_rules! with_payments {
    () => {
        concat!(
            "select calls.operation, calls.refund_id, calls.tries, calls.caused_by, calls.traceparent, \
             calls.was_due_at, ",
            look!(),
            " from calls join payments on payments.order_id = calls.order_id ",
            joined!(),
            " order by payments.order_id, refunds.seq"
        )
    };
}

/// Takes up to `limit` due calls under a lease, and reads their payments. The try is counted before the gateway is
/// called, so after a crash it is known that the call may have been made. A call that this version can't read is put
/// off and shown by readiness; it keeps no other back.
pub async fn take(conn: &mut AsyncPgConnection, limit: i64) -> QueryResult<Vec<TakenCall>> {
    let (taken, unread) = taken(Take { limit: &limit, lease: LEASE.as_secs_f64() }.load(conn).await?);
    if !unread.is_empty()
        && let Err(error) = put_off(conn, &unread).await
    {
        tracing::warn!(%error, "calls that can't be read are not put off: they come again when their leases end");
    }
    Ok(taken)
}

prepared! {
    struct Take<'a> { limit: &'a i64 as BigInt, lease: f64 as Double } -> Taken;
    concat!(
        "with due as materialized (select key, due_at as was_due_at from gateway_calls where finished_at is null and due_at <= now() \
             and (leased_until is null or leased_until <= now()) order by due_at limit ? for update skip locked), \
         calls as (update gateway_calls set tries = tries + 1, due_at = now() + lease.lasts, \
                 leased_until = now() + lease.lasts \
             from due, (select make_interval(secs => ?) as lasts) lease where gateway_calls.key = due.key \
             returning gateway_calls.*, was_due_at) ",
        with_payments!()
    )
}

/// Takes the payment's unfinished call under a lease, due or not; none if there is none, or if another worker has it.
pub async fn take_of(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<Option<TakenCall>> {
    let (mut taken, unread) = taken(TakeOf { lease: LEASE.as_secs_f64(), payment: &payment.0 }.load(conn).await?);
    if let [one, ..] = &unread[..] {
        put_off(conn, &unread).await?;
        return Err(unreadable(one.failure.text.clone()));
    }
    Ok(taken.pop())
}

prepared! {
    struct TakeOf<'a> { lease: f64 as Double, payment: &'a Uuid as SqlUuid } -> Taken;
    concat!(
        "with calls as (update gateway_calls set tries = tries + 1, due_at = now() + lease.lasts, \
                 leased_until = now() + lease.lasts \
             from (select make_interval(secs => ?) as lasts) lease \
             where payment_id = ? and finished_at is null and (leased_until is null or leased_until <= now()) \
             returning gateway_calls.*, created_at as was_due_at) ",
        with_payments!()
    )
}

/// One call a payment, since none has two unfinished ones, and the calls that this version can't read, or whose
/// payments it can't.
fn taken(rows: Vec<TakenRow>) -> (Vec<TakenCall>, Vec<PutOff>) {
    let (mut roots, mut calls, mut unread) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for ((operation, refund_id, tries, caused_by, traceparent, due_at), look) in rows {
        let (order_id, taken_at, key) = (payments::order_of(&look), look.4, look.3.clone());
        let call =
            call_of(&operation, refund_id).ok_or_else(|| unreadable(format!("{operation:?} is an unknown call")));
        match call.and_then(|call| payments::add(&mut roots, look).map(|()| call)) {
            Ok(call) => {
                let causation = Causation { event: caused_by.map(EventId), traceparent };
                let tries = u32::try_from(tries).unwrap_or(u32::MAX);
                calls.insert(order_id, (call, tries, causation, taken_at, due_at));
            }
            Err(why) => {
                tracing::error!(order.id = %order_id, operation, %why, "a call that this version can't read is put off");
                unread.extend(key.map(|key| (order_id, PutOff::unread(key, tries, &why))));
            }
        }
    }
    calls.retain(|order_id, _| !unread.contains_key(order_id));
    let taken = |(order_id, (call, tries, causation, taken_at, due_at))| {
        let root = roots.remove(&order_id)?;
        let (key, payment) = (root.unfinished_call?, root.payment);
        Some(TakenCall { key, order_id, call, tries, causation, payment, taken_at, due_at })
    };
    (calls.into_iter().filter_map(taken).collect(), unread.into_values().collect())
}

/// The trace in which the intent's payment was asked to be authorised: whatever the gateway tells of it later belongs there.
pub async fn trace_of(conn: &mut AsyncPgConnection, intent: &str) -> QueryResult<Option<String>> {
    let found: Vec<(Option<String>,)> = TraceOf { intent }.load(conn).await?;
    Ok(found.into_iter().find_map(|(traceparent,)| traceparent))
}

prepared! {
    /// By their keys, which name payment, operation and attempt.
    struct TraceOf<'a> { intent: &'a str as Text } -> (Nullable<Text>,);
    "select calls.traceparent from payments join gateway_calls calls \
         on calls.key = payments.payment_id || ':authorise:' || payments.attempts \
     where payments.intent = ?"
}

/// How long until the next unfinished call is due, as its lease or its last put-off says.
pub async fn next_due(conn: &mut AsyncPgConnection) -> QueryResult<Option<Duration>> {
    let next: Option<(DateTime<Utc>, DateTime<Utc>)> = gateway_calls::table
        .filter(gateway_calls::finished_at.is_null())
        .order(gateway_calls::due_at)
        .select((gateway_calls::due_at, now.into_sql::<Timestamptz>()))
        .first(conn)
        .await
        .optional()?;
    Ok(next.map(|(due_at, asked)| (due_at - asked).to_std().unwrap_or_default()))
}

/// Makes the payment's unfinished call due, unless a worker has leased it.
pub async fn hasten(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<()> {
    let unfinished = gateway_calls::table
        .filter(gateway_calls::payment_id.eq(payment.0))
        .filter(gateway_calls::finished_at.is_null());
    diesel::update(unfinished).set(gateway_calls::due_at.eq(now)).execute(conn).await.map(drop)
}

/// The call that has waited longest for an answer, of those that have failed for more than a few seconds.
#[derive(Clone, Debug, QueryableByName)]
pub struct Failing {
    #[diesel(sql_type = sql_types::Text)]
    pub operation: String,
    #[diesel(sql_type = sql_types::Text)]
    pub error_code: String,
    #[diesel(sql_type = sql_types::Text)]
    pub error: String,
    /// Since when it fails.
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub since: chrono::DateTime<chrono::Utc>,
}

pub async fn failing(conn: &mut AsyncPgConnection, longer_than: Duration) -> QueryResult<Option<Failing>> {
    let sql = "select operation, error_code, error, failing_since as since from gateway_calls \
               where finished_at is null and failing_since is not null \
                     and failing_since < now() - make_interval(secs => $1) order by failing_since limit 1";
    let query = sql_query(sql).bind::<sql_types::Double, _>(longer_than.as_secs_f64());
    query.get_result(conn).await.optional()
}
