//! Payments and their refunds, as rows and as the domain sees them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    expression::SqlLiteral,
    prelude::*,
    sql_query,
    sql_types::{self, Integer, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::consumer::ReactionError;
use shared_events::{Currency, Money, OrderId, PaymentId, PaymentMethod, RefundId};
use uuid::Uuid;

use crate::{
    domain::{Charge, ChargeLine, Hold, Origin, Payment, Refund, RefundState, State},
    schema::{charges, payments, refunds},
};

/// A payment as its row has it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = payments)]
#[expect(missing_docs, reason = "columns; the migration explains them")]
pub struct Row {
    pub order_id: Uuid,
    pub payment_id: Uuid,
    pub state: String,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub deadline: Option<DateTime<Utc>>,
    pub expired: bool,
    pub void_requested: bool,
    pub unanswered: bool,
    pub intent: Option<String>,
    pub failure_code: Option<String>,
    pub attempts: i32,
    /// Read past `schema`: without diesel's feature `32-column-tables`, which costs every build, a table has 16 columns.
    #[diesel(select_expression = sql::<Integer>("payments.void_refusals"))]
    #[diesel(select_expression_type = SqlLiteral<Integer>)]
    pub void_refusals: i32,
    pub said: i64,
}

#[derive(AsChangeset)]
#[diesel(table_name = payments, treat_none_as_null = true)]
struct Changes {
    state: &'static str,
    amount: Option<i64>,
    currency: Option<&'static str>,
    deadline: Option<DateTime<Utc>>,
    expired: bool,
    void_requested: bool,
    unanswered: bool,
    failure_code: Option<String>,
    attempts: i32,
    captured: i64,
    refunded: i64,
    said: i64,
    updated_at: DateTime<Utc>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = charges)]
struct ChargeRow {
    order_id: Uuid,
    method: String,
    lines: Value,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = refunds)]
struct RefundRow {
    refund_id: Uuid,
    amount: i64,
    wanted: Option<i64>,
    refusals: i32,
    state: String,
    origin: String,
    gateway_id: Option<String>,
}

impl RefundRow {
    fn origin(&self) -> Option<Origin> {
        match (self.origin.as_str(), &self.gateway_id) {
            ("ours", _) => Some(Origin::Ours),
            ("cut", _) => Some(Origin::Cut { refusals: u32::try_from(self.refusals).ok()?.max(1) }),
            ("outside", _) => Some(Origin::Outside),
            ("elsewhere", Some(name)) => Some(Origin::Elsewhere(name.clone())),
            _ => None,
        }
    }
}

fn corrupt(what: &str, row: Uuid) -> ReactionError {
    ReactionError::Permanent(anyhow::anyhow!("the {what} of payment {row} can't be read"))
}

impl Row {
    /// The payment as the domain sees it, with its refunds.
    pub async fn into_payment(self, conn: &mut AsyncPgConnection) -> Result<Payment, ReactionError> {
        let id = self.payment_id;
        let state = State::from_name(&self.state).ok_or_else(|| corrupt("state", id))?;
        let charge = self.charge(conn).await?;
        let refunds = match (&charge, state) {
            (Some(charge), State::Capturing | State::Captured) => {
                refunds_of(conn, id, charge.amount.currency()).await?
            }
            _ => vec![],
        };
        Ok(Payment {
            id: PaymentId(id),
            order_id: OrderId(self.order_id),
            state,
            charge,
            hold: Hold { deadline: self.deadline, expired: self.expired },
            void_requested: self.void_requested,
            unanswered: self.unanswered,
            intent: self.intent,
            failure_code: self.failure_code,
            attempts: u32::try_from(self.attempts).map_err(|_| corrupt("attempts", id))?,
            void_refusals: u32::try_from(self.void_refusals).map_err(|_| corrupt("void_refusals", id))?,
            refunds,
        })
    }

    async fn charge(&self, conn: &mut AsyncPgConnection) -> Result<Option<Charge>, ReactionError> {
        let (Some(amount), Some(currency)) = (self.amount, &self.currency) else { return Ok(None) };
        let id = self.payment_id;
        let row: ChargeRow = charges::table.find(self.order_id).select(ChargeRow::as_select()).first(conn).await?;
        let currency: Currency = currency.parse().map_err(|_| corrupt("currency", id))?;
        let lines: Vec<ChargeLine> = serde_json::from_value(row.lines).map_err(|_| corrupt("lines", id))?;
        let amount = Money::new(amount, currency).map_err(|_| corrupt("amount", id))?;
        let method: PaymentMethod = row.method.parse().map_err(|_| corrupt("method", id))?;
        Ok(Some(Charge { amount, method, lines }))
    }
}

async fn refunds_of(conn: &mut AsyncPgConnection, id: Uuid, currency: Currency) -> Result<Vec<Refund>, ReactionError> {
    let rows: Vec<RefundRow> = refunds::table
        .filter(refunds::payment_id.eq(id))
        .order(refunds::seq)
        .select(RefundRow::as_select())
        .load(conn)
        .await?;
    let refund = |row: RefundRow| {
        let amount = Money::new(row.amount, currency).map_err(|_| corrupt("refund", id))?;
        let wanted = row.wanted.map_or(Ok(amount), |wanted| Money::new(wanted, currency));
        let wanted = wanted.map_err(|_| corrupt("refund", id))?;
        let state = RefundState::from_name(&row.state).ok_or_else(|| corrupt("refund", id))?;
        let origin = row.origin().ok_or_else(|| corrupt("refund", id))?;
        Ok(Refund { id: RefundId(row.refund_id), amount, wanted, state, origin })
    };
    rows.into_iter().map(refund).collect()
}

/// Writes a payment back, with the count of what was said. The gateway's id for it is written by [`note_intent`] alone.
pub async fn save(conn: &mut AsyncPgConnection, payment: &Payment, said: i64) -> Result<(), ReactionError> {
    let charge = payment.charge.as_ref();
    let changes = Changes {
        state: payment.state.as_str(),
        amount: charge.map(|charge| charge.amount.amount()),
        currency: charge.map(|charge| charge.amount.currency().code()),
        deadline: payment.hold.deadline,
        expired: payment.hold.expired,
        void_requested: payment.void_requested,
        unanswered: payment.unanswered,
        failure_code: payment.failure_code.clone(),
        attempts: i32::try_from(payment.attempts).map_err(ReactionError::permanent)?,
        captured: payment.captured().map_or(0, Money::amount),
        refunded: payment.refunded().map_or(0, Money::amount),
        said,
        updated_at: Utc::now(),
    };
    diesel::update(payments::table.find(payment.order_id.0)).set(&changes).execute(conn).await?;
    for refund in &payment.refunds {
        save_refund(conn, payment, refund).await?;
    }
    Ok(())
}

async fn save_refund(conn: &mut AsyncPgConnection, payment: &Payment, refund: &Refund) -> QueryResult<()> {
    // What waited is cut to what remains when it begins.
    let amounts = (refunds::amount.eq(refund.amount.amount()), refunds::wanted.eq(refund.wanted.amount()));
    let state = refunds::state.eq(refund.state.as_str());
    let (origin, refusals, name) = match &refund.origin {
        Origin::Ours => ("ours", 0, None),
        Origin::Cut { refusals } => ("cut", *refusals, None),
        Origin::Outside => ("outside", 0, None),
        Origin::Elsewhere(name) => ("elsewhere", 0, Some(name)),
    };
    let refusals = refunds::refusals.eq(i32::try_from(refusals).unwrap_or(i32::MAX));
    let (origin, gateway_id) = ((refunds::origin.eq(origin), refusals), refunds::gateway_id.eq(name));
    let reason = refunds::reason.eq(name.map(|_| "made at the gateway, by somebody else"));
    let whose = (refunds::refund_id.eq(refund.id.0), refunds::payment_id.eq(payment.id.0));
    diesel::insert_into(refunds::table)
        .values((whose, amounts, state, origin, gateway_id, reason))
        .on_conflict(refunds::refund_id)
        .do_update()
        .set((amounts, state, origin, refunds::updated_at.eq(diesel::dsl::now)))
        .execute(conn)
        .await
        .map(drop)
}

/// Keeps the gateway's id of the intent, before it is confirmed. The first one stays.
pub async fn note_intent(conn: &mut AsyncPgConnection, order_id: OrderId, intent: &str) -> QueryResult<()> {
    let unnamed = payments::table.find(order_id.0).filter(payments::intent.is_null());
    diesel::update(unnamed).set(payments::intent.eq(intent)).execute(conn).await.map(drop)
}

/// Keeps that the gateway has refused once more to end the intent: `payment` is as it was when that was asked. Written by
/// this alone.
pub async fn note_void_refusal(conn: &mut AsyncPgConnection, payment: &Payment) -> QueryResult<()> {
    let known = i32::try_from(payment.void_refusals).unwrap_or(i32::MAX);
    sql_query("update payments set void_refusals = void_refusals + 1 where order_id = $1 and void_refusals = $2")
        .bind::<sql_types::Uuid, _>(payment.order_id.0)
        .bind::<Integer, _>(known)
        .execute(conn)
        .await
        .map(drop)
}

/// Keeps how an order is paid and for what.
pub async fn note_charge(conn: &mut AsyncPgConnection, order: OrderId, charge: &Charge) -> Result<(), ReactionError> {
    let lines = serde_json::to_value(&charge.lines).map_err(ReactionError::permanent)?;
    let row = ChargeRow { order_id: order.0, method: charge.method.to_string(), lines };
    diesel::insert_into(charges::table).values(row).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// Reads a payment without locking it, and the database's time: one clock for all workers, whatever their machines' say.
pub async fn read_now(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> Result<(Payment, DateTime<Utc>), ReactionError> {
    let clock = sql::<Timestamptz>("clock_timestamp()");
    let (row, now): (Row, _) = payments::table.find(order_id.0).select((Row::as_select(), clock)).first(conn).await?;
    Ok((row.into_payment(conn).await?, now))
}

/// Reads a payment without locking it.
pub async fn read(conn: &mut AsyncPgConnection, order_id: OrderId) -> Result<Payment, ReactionError> {
    let row: Row = payments::table.find(order_id.0).select(Row::as_select()).first(conn).await?;
    row.into_payment(conn).await
}

/// The payment that the gateway knows by this name, without locking it.
pub async fn with_intent(conn: &mut AsyncPgConnection, intent: &str) -> Result<Option<Payment>, ReactionError> {
    let named = payments::table.filter(payments::intent.eq(intent));
    let row: Option<Row> = named.select(Row::as_select()).first(conn).await.optional()?;
    match row {
        Some(row) => Ok(Some(row.into_payment(conn).await?)),
        None => Ok(None),
    }
}

/// The refund that the gateway knows by this name, if its name was noted.
pub async fn refund_named(conn: &mut AsyncPgConnection, of: PaymentId, name: &str) -> QueryResult<Option<RefundId>> {
    let named = refunds::table.filter(refunds::payment_id.eq(of.0)).filter(refunds::gateway_id.eq(name));
    let id: Option<Uuid> = named.select(refunds::refund_id).first(conn).await.optional()?;
    Ok(id.map(RefundId))
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

/// One payment, by its id.
pub async fn find(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Option<Shown>> {
    payments::table.filter(payments::payment_id.eq(id.0)).select(Shown::as_select()).first(conn).await.optional()
}

/// Payments after `after`, by id, of one order or of all; at most `limit`.
pub async fn list(
    conn: &mut AsyncPgConnection,
    order_id: Option<OrderId>,
    after: Option<PaymentId>,
    limit: i64,
) -> QueryResult<Vec<Shown>> {
    let mut query = payments::table.select(Shown::as_select()).into_boxed();
    if let Some(order_id) = order_id {
        query = query.filter(payments::order_id.eq(order_id.0));
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

/// One refund, as a reader sees it.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = refunds)]
#[expect(missing_docs, reason = "columns; the migration explains them")]
pub struct ShownRefund {
    pub refund_id: Uuid,
    pub amount: i64,
    pub wanted: Option<i64>,
    pub origin: String,
    pub state: String,
    pub reason: Option<String>,
    pub gateway_id: Option<String>,
    pub created_at: DateTime<Utc>,
    pub outside_reason: Option<String>,
    pub outside_reference: Option<String>,
    pub outside_at: Option<DateTime<Utc>>,
}

/// Keeps why and under which reference staff gave a refund back past the gateway, and shows the refund.
pub async fn note_outside(
    conn: &mut AsyncPgConnection,
    id: RefundId,
    reason: &str,
    reference: &str,
) -> QueryResult<ShownRefund> {
    let note = diesel::update(refunds::table.find(id.0)).set((
        refunds::outside_reason.eq(reason),
        refunds::outside_reference.eq(reference),
        refunds::outside_at.eq(diesel::dsl::now),
    ));
    note.returning(ShownRefund::as_returning()).get_result(conn).await
}

/// Keeps what staff said a refund was for, and shows the refund.
pub async fn note_reason(conn: &mut AsyncPgConnection, id: RefundId, reason: &str) -> QueryResult<ShownRefund> {
    let note = diesel::update(refunds::table.find(id.0)).set(refunds::reason.eq(reason));
    note.returning(ShownRefund::as_returning()).get_result(conn).await
}

/// Keeps the gateway's name for a refund.
pub async fn note_refund(conn: &mut AsyncPgConnection, id: RefundId, gateway_id: &str) -> QueryResult<()> {
    let named = refunds::gateway_id.eq(gateway_id);
    diesel::update(refunds::table.find(id.0)).set(named).execute(conn).await.map(drop)
}

/// The refunds of a payment, oldest first.
pub async fn refunds_shown(conn: &mut AsyncPgConnection, id: PaymentId) -> QueryResult<Vec<ShownRefund>> {
    let of = refunds::table.filter(refunds::payment_id.eq(id.0));
    of.order(refunds::seq).select(ShownRefund::as_select()).load(conn).await
}
