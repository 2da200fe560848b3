//! Payments: the roots of their orders' keys on `payments.v1`, locked before anything is decided.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use shared_events::{Currency, CustomerId, Money, OrderId, PaymentId, PaymentMethod, RefundId, SequenceCounter, Topic};
use uuid::Uuid;

use super::ledger::{self, Entry};
use super::loaded::Loaded;
use super::refunds::{self, RefundRow, ShownRefund};
use super::unreadable;
use crate::domain::{Charge, Hold, Payment, State};
use crate::schema::{charges, payments};

/// A payment, with what orders the events of its key.
#[derive(Clone, Debug)]
pub struct Root {
    pub payment: Payment,
    pub unfinished_call: Option<String>,
    pub(super) said: i64,
    /// Who of the staff asked for which refund.
    pub(super) actors: BTreeMap<RefundId, String>,
}

impl SequenceCounter for Root {
    fn next_sequence(&mut self, _payments_is_the_only_topic: Topic) -> i64 {
        self.said += 1;
        self.said
    }
}

/// The columns of a [`Look`], from `payments`, `charges`, `refunds` and `calls`, of which the last holds the unfinished call.
macro_rules! look {
    () => {
        "payments.order_id, payments.payment_id, payments.state, payments.amount, payments.currency, payments.deadline, \
         payments.expired, payments.void_requested, payments.unanswered, payments.intent, payments.failure_code, \
         payments.attempts, payments.void_refusals, payments.said, \
         charges.method, charges.lines, charges.customer_id, \
         refunds.refund_id, refunds.amount, refunds.wanted, refunds.refusals, refunds.state, refunds.origin, \
         refunds.gateway_id, refunds.actor, \
         calls.key, now()"
    };
}

/// What is joined to `payments`. A refund counts only while the money is ours.
macro_rules! joined {
    () => {
        "left join charges on charges.order_id = payments.order_id \
         left join refunds on refunds.payment_id = payments.payment_id and payments.state in ('capturing', 'captured')"
    };
}
pub(super) use {joined, look};

/// The types of [`look`].
pub(super) type Look = (
    (
        SqlUuid,
        SqlUuid,
        Text,
        Nullable<BigInt>,
        Nullable<Text>,
        Nullable<Timestamptz>,
        Bool,
        Bool,
        Bool,
        Nullable<Text>,
        Nullable<Text>,
        Integer,
        Integer,
        BigInt,
    ),
    Nullable<(Text, Jsonb, Nullable<Text>)>,
    Nullable<(SqlUuid, BigInt, Nullable<BigInt>, Integer, Text, Text, Nullable<Text>, Nullable<Text>)>,
    Nullable<Text>,
    Timestamptz,
);

/// A row of a look: a payment comes once, or once for each of its refunds, in their order.
pub(super) type LookRow = (Row, Option<ChargeRow>, Option<RefundRow>, Option<String>, DateTime<Utc>);

#[derive(Queryable)]
pub(super) struct Row {
    order_id: Uuid,
    payment_id: Uuid,
    state: String,
    amount: Option<i64>,
    currency: Option<String>,
    deadline: Option<DateTime<Utc>>,
    expired: bool,
    void_requested: bool,
    unanswered: bool,
    intent: Option<String>,
    failure_code: Option<String>,
    attempts: i32,
    void_refusals: i32,
    said: i64,
}

#[derive(Queryable)]
pub(super) struct ChargeRow {
    method: String,
    lines: Value,
    customer: Option<String>,
}

fn corrupt(what: &str, row: Uuid) -> diesel::result::Error {
    unreadable(format!("the {what} of payment {row} can't be read"))
}

/// Creates the missing payments of these orders, and locks all of them in this order.
pub(super) async fn lock(mut conn: &AsyncPgConnection, orders: &[Uuid]) -> QueryResult<()> {
    let payments = orders.iter().map(|_| PaymentId::new().0).collect();
    Lock { orders, payments }.execute(&mut conn).await.map(drop)
}

prepared! {
    /// The conflicting rows are locked, though none is updated.
    struct Lock<'a> { orders: &'a [Uuid] as Array<SqlUuid>, payments: Vec<Uuid> as Array<SqlUuid> };
    "insert into payments (order_id, payment_id, state) \
     select order_id, payment_id, 'new' from unnest(?, ?) as missing (order_id, payment_id) \
     on conflict (order_id) do update set state = excluded.state where false"
}

/// Reads payments with all that belongs to them, and the database's time of this transaction.
pub(super) async fn roots(
    mut conn: &AsyncPgConnection,
    orders: &[Uuid],
) -> QueryResult<(BTreeMap<OrderId, Root>, DateTime<Utc>)> {
    let rows: Vec<LookRow> = ReadRoots { orders }.load(&mut conn).await?;
    let (mut roots, mut read_at) = (BTreeMap::new(), DateTime::default());
    for row in rows {
        read_at = row.4;
        add(&mut roots, row)?;
    }
    Ok((roots, read_at))
}

prepared! {
    struct ReadRoots<'a> { orders: &'a [Uuid] as Array<SqlUuid> } -> Look;
    concat!(
        "select ", look!(), " from payments ", joined!(),
        " left join gateway_calls calls on calls.payment_id = payments.payment_id and calls.finished_at is null \
         where payments.order_id = any(?) order by payments.order_id, refunds.seq"
    )
}

/// Adds a row of a look: a payment, or one more of its refunds.
pub(super) fn add(roots: &mut BTreeMap<OrderId, Root>, (row, charge, refund, call, _): LookRow) -> QueryResult<()> {
    let id = row.payment_id;
    let root = match roots.entry(OrderId(row.order_id)) {
        std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::btree_map::Entry::Vacant(new) => new.insert(row.root(charge, call)?),
    };
    if let (Some(mut refund), Some(charge)) = (refund, &root.payment.charge) {
        let actor = refund.actor.take();
        let refund = refund.refund(charge.amount.currency()).ok_or_else(|| corrupt("refund", id))?;
        root.actors.extend(actor.map(|actor| (refund.id, actor)));
        root.payment.refunds.push(refund);
    }
    Ok(())
}

/// Whose payment a row of a look is.
pub(super) const fn order_of(row: &LookRow) -> OrderId {
    OrderId(row.0.order_id)
}

impl Row {
    fn root(self, charge: Option<ChargeRow>, unfinished_call: Option<String>) -> QueryResult<Root> {
        let id = self.payment_id;
        let payment = Payment {
            id: PaymentId(id),
            order_id: OrderId(self.order_id),
            state: State::from_name(&self.state).ok_or_else(|| corrupt("state", id))?,
            charge: self.charge(charge)?,
            hold: Hold { deadline: self.deadline, expired: self.expired },
            void_requested: self.void_requested,
            unanswered: self.unanswered,
            intent: self.intent,
            failure_code: self.failure_code,
            attempts: u32::try_from(self.attempts).map_err(|_| corrupt("attempts", id))?,
            void_refusals: u32::try_from(self.void_refusals).map_err(|_| corrupt("void_refusals", id))?,
            refunds: vec![],
        };
        Ok(Root { payment, unfinished_call, said: self.said, actors: BTreeMap::new() })
    }

    fn charge(&self, row: Option<ChargeRow>) -> QueryResult<Option<Charge>> {
        let (Some(amount), Some(currency)) = (self.amount, &self.currency) else { return Ok(None) };
        let id = self.payment_id;
        let ChargeRow { method, lines, customer } = row.ok_or_else(|| corrupt("charge", id))?;
        let currency: Currency = currency.parse().map_err(|_| corrupt("currency", id))?;
        let amount = Money::new(amount, currency).map_err(|_| corrupt("amount", id))?;
        let method: PaymentMethod = method.parse().map_err(|_| corrupt("method", id))?;
        let lines = serde_json::from_value(lines).map_err(|_| corrupt("lines", id))?;
        let customer = customer.map(|customer| customer.parse().map_err(|_| corrupt("customer", id))).transpose()?;
        Ok(Some(Charge { amount, method, lines, customer }))
    }
}

/// Writes changed payments and their event counters. Only [`note_intents`] writes the gateway's id for one.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    for Root { payment, said, .. } in loaded.changed.payments.iter().filter_map(|order| loaded.roots.get(order)) {
        let amount = payment.charge.as_ref().map(|charge| charge.amount);
        rows.orders.push(payment.order_id.0);
        rows.states.push(payment.state.as_str());
        rows.amounts.push(amount.map(Money::amount));
        rows.currencies.push(amount.map(|amount| amount.currency().code()));
        rows.deadlines.push(payment.hold.deadline);
        rows.expired.push(payment.hold.expired);
        rows.void_requested.push(payment.void_requested);
        rows.unanswered.push(payment.unanswered);
        rows.failure_codes.push(payment.failure_code.as_deref());
        rows.attempts.push(i32::try_from(payment.attempts).unwrap_or(i32::MAX));
        rows.captured.push(payment.captured().map_or(0, Money::amount));
        rows.refunded.push(payment.refunded().map_or(0, Money::amount));
        rows.said.push(*said);
    }
    if !rows.orders.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        orders: Vec<Uuid> as Array<SqlUuid>,
        states: Vec<&'a str> as Array<Text>,
        amounts: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        currencies: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        deadlines: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        expired: Vec<bool> as Array<Bool>,
        void_requested: Vec<bool> as Array<Bool>,
        unanswered: Vec<bool> as Array<Bool>,
        failure_codes: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        attempts: Vec<i32> as Array<Integer>,
        captured: Vec<i64> as Array<BigInt>,
        refunded: Vec<i64> as Array<BigInt>,
        said: Vec<i64> as Array<BigInt>,
    };
    "update payments set state = new.state, amount = new.amount, currency = new.currency, deadline = new.deadline, \
         expired = new.expired, void_requested = new.void_requested, unanswered = new.unanswered, \
         failure_code = new.failure_code, attempts = new.attempts, captured = new.captured, refunded = new.refunded, \
         said = new.said, updated_at = now() \
     from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) as new (order_id, state, amount, currency, deadline, expired, \
         void_requested, unanswered, failure_code, attempts, captured, refunded, said) \
     where payments.order_id = new.order_id"
}

/// Writes how orders whose `order.placed` was just read are paid, and for what.
pub(super) async fn save_charges(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = SaveCharges::default();
    for order in &loaded.changed.charges {
        let Some(charge) = loaded.roots.get(order).and_then(|root| root.payment.charge.as_ref()) else { continue };
        let lines = serde_json::to_value(&charge.lines);
        rows.orders.push(order.0);
        rows.methods.push(charge.method.as_str());
        rows.customers.push(charge.customer.as_ref().map(CustomerId::as_str));
        rows.lines.push(lines.map_err(|error| diesel::result::Error::SerializationError(error.into()))?);
    }
    if !rows.orders.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct SaveCharges<'a> {
        orders: Vec<Uuid> as Array<SqlUuid>,
        methods: Vec<&'a str> as Array<Text>,
        lines: Vec<Value> as Array<Jsonb>,
        customers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "insert into charges (order_id, method, lines, customer_id) select * from unnest(?, ?, ?, ?) on conflict do nothing"
}

/// What is known of a payment when its intent is kept.
#[derive(Clone, Debug)]
pub struct Noted {
    pub hold: Hold,
    /// The goods were given back while the call was in flight.
    pub void_requested: bool,
    /// The database's time.
    pub at: DateTime<Utc>,
}

type NotedRow = (Uuid, Option<DateTime<Utc>>, bool, bool, DateTime<Utc>);

/// Keeps the gateway's ids of intents before they are confirmed; the first one of a payment stays. Returns what is
/// known of each payment then.
pub async fn note_intents(
    conn: &mut AsyncPgConnection,
    intents: &[(OrderId, String)],
) -> QueryResult<BTreeMap<OrderId, Noted>> {
    let (orders, intents): (Vec<_>, Vec<_>) = intents.iter().map(|(order, intent)| (order.0, intent.as_str())).unzip();
    let noted: Vec<NotedRow> = NoteIntents { wanted: &orders, orders: &orders, intents }.load(conn).await?;
    let noted = noted.into_iter().map(|(order, deadline, expired, void_requested, at)| {
        (OrderId(order), Noted { hold: Hold { deadline, expired }, void_requested, at })
    });
    Ok(noted.collect())
}

prepared! {
    struct NoteIntents<'a> {
        wanted: &'a [Uuid] as Array<SqlUuid>,
        orders: &'a [Uuid] as Array<SqlUuid>,
        intents: Vec<&'a str> as Array<Text>,
    } -> (SqlUuid, Nullable<Timestamptz>, Bool, Bool, Timestamptz);
    "with locked as materialized ( \
         select order_id from payments where order_id = any(?) order by order_id for no key update) \
     update payments set intent = coalesce(payments.intent, new.intent) \
     from locked join unnest(?, ?) as new (order_id, intent) on new.order_id = locked.order_id \
     where payments.order_id = locked.order_id \
     returning payments.order_id, payments.deadline, payments.expired, payments.void_requested, clock_timestamp()"
}

/// Counts a refusal of the gateway to end the intent. `payment` is as it was when that was asked. Only this writes it.
pub async fn note_void_refusal(conn: &mut AsyncPgConnection, payment: &Payment) -> QueryResult<()> {
    let known = i32::try_from(payment.void_refusals).unwrap_or(i32::MAX);
    diesel::sql_query(
        "update payments set void_refusals = void_refusals + 1 where order_id = $1 and void_refusals = $2",
    )
    .bind::<SqlUuid, _>(payment.order_id.0)
    .bind::<Integer, _>(known)
    .execute(conn)
    .await
    .map(drop)
}

/// Reads a payment without locking it, with the key of its unfinished call.
pub async fn read_with_call(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<(Payment, Option<String>)> {
    let (roots, _) = roots(conn, &[order_id.0]).await?;
    let root = roots.into_values().next().ok_or(diesel::result::Error::NotFound)?;
    Ok((root.payment, root.unfinished_call))
}

/// Reads a payment without locking it.
pub async fn read(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<Payment> {
    Ok(read_with_call(conn, order_id).await?.0)
}

/// Reads a payment without locking it, and the database's time, which is one clock for all workers.
pub async fn read_now(conn: &mut AsyncPgConnection, order_id: OrderId) -> QueryResult<(Payment, DateTime<Utc>)> {
    let (roots, now) = roots(conn, &[order_id.0]).await?;
    let root = roots.into_values().next().ok_or(diesel::result::Error::NotFound)?;
    Ok((root.payment, now))
}

pub async fn has_intent(conn: &mut AsyncPgConnection, intent: &str) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(payments::table.filter(payments::intent.eq(intent)))).get_result(conn).await
}

/// What a reader of the interface sees of a payment.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = payments)]
#[expect(missing_docs, reason = "columns; the migration explains them")]
pub struct Shown {
    pub payment_id: Uuid,
    pub order_id: Uuid,
    pub state: String,
    pub unanswered: bool,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub captured: i64,
    pub refunded: i64,
    pub attempts: i32,
    pub failure_code: Option<String>,
    pub intent: Option<String>,
    pub updated_at: DateTime<Utc>,
}

pub async fn find(mut conn: &AsyncPgConnection, id: PaymentId) -> QueryResult<Option<Shown>> {
    payments::table.filter(payments::payment_id.eq(id.0)).select(Shown::as_select()).first(&mut conn).await.optional()
}

/// The payment if it is this customer's, where it must be somebody's.
async fn find_of(mut conn: &AsyncPgConnection, id: PaymentId, customer: Option<&str>) -> QueryResult<Option<Shown>> {
    let Some(customer) = customer else { return find(conn, id).await };
    let theirs = charges::table.filter(charges::customer_id.eq(customer)).select(charges::order_id);
    let query = payments::table.filter(payments::payment_id.eq(id.0)).filter(payments::order_id.eq_any(theirs));
    query.select(Shown::as_select()).first(&mut conn).await.optional()
}

/// A payment with its refunds and its ledger, if it is this customer's, where it must be somebody's. None of the three
/// statements needs the answer of another.
pub async fn find_with_details(
    conn: &AsyncPgConnection,
    id: PaymentId,
    customer: Option<&str>,
) -> QueryResult<Option<(Shown, Vec<ShownRefund>, Vec<Entry>)>> {
    let (payment, refunds, entries) =
        tokio::join!(biased; find_of(conn, id, customer), refunds::of(conn, id), ledger::of(conn, id));
    let (payment, refunds, entries) = (payment?, refunds?, entries?);
    Ok(payment.map(|payment| (payment, refunds, entries)))
}

/// Payments after `after`, by id, of one order or of all, of one customer or of all; at most `limit`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    order_id: Option<OrderId>,
    customer: Option<&str>,
    after: Option<PaymentId>,
    limit: i64,
) -> QueryResult<Vec<Shown>> {
    let mut query = payments::table.select(Shown::as_select()).into_boxed();
    if let Some(order_id) = order_id {
        query = query.filter(payments::order_id.eq(order_id.0));
    }
    if let Some(customer) = customer {
        let theirs = charges::table.filter(charges::customer_id.eq(customer)).select(charges::order_id);
        query = query.filter(payments::order_id.eq_any(theirs));
    }
    if let Some(after) = after {
        query = query.filter(payments::payment_id.lt(after.0));
    }
    query.order(payments::payment_id.desc()).limit(limit).load(conn).await
}

/// About how many payments there are, as PostgreSQL estimates it.
pub async fn estimate(conn: &mut AsyncPgConnection) -> QueryResult<u64> {
    #[derive(QueryableByName)]
    struct Estimate {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        rows: i64,
    }
    let sql = "select greatest(reltuples, 0)::bigint as rows from pg_class where oid = 'payments'::regclass";
    Ok(diesel::sql_query(sql).get_result::<Estimate>(conn).await?.rows.unsigned_abs())
}
