use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use service_kit::{auth, idempotency, prepared};
use shared_events::{Currency, Money, PaymentId, RefundId};
use uuid::Uuid;

use super::loaded::Loaded;
use crate::domain::{Origin, Refund, RefundState};
use crate::schema::refunds;

#[derive(Queryable)]
pub(super) struct RefundRow {
    refund_id: Uuid,
    amount: i64,
    wanted: Option<i64>,
    refusals: i32,
    state: String,
    origin: String,
    gateway_id: Option<String>,
    pub actor: Option<String>,
}

impl RefundRow {
    /// The refund as the domain sees it; nothing where the row can't be read.
    pub fn refund(self, currency: Currency) -> Option<Refund> {
        let amount = Money::new(self.amount, currency).ok()?;
        let wanted = match self.wanted {
            Some(wanted) => Money::new(wanted, currency).ok()?,
            None => amount,
        };
        let origin = match (self.origin.as_str(), self.gateway_id) {
            ("ours", _) => Origin::Ours,
            ("cut", _) => Origin::Cut { refusals: u32::try_from(self.refusals).ok()?.max(1) },
            ("outside", _) => Origin::Outside,
            ("elsewhere", Some(name)) => Origin::Elsewhere(name),
            _ => return None,
        };
        let state = RefundState::from_name(&self.state)?;
        Some(Refund { id: RefundId(self.refund_id), amount, wanted, state, origin })
    }
}

/// Writes new and changed refunds in the order of their queue. A queued one is cut to what remains when it begins.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    let mut rows = Save::default();
    let actor = auth::actor();
    for payment in loaded.roots.values().map(|root| &root.payment) {
        for refund in payment.refunds.iter().filter(|refund| loaded.changed.refunds.contains(&refund.id)) {
            let (origin, refusals, name) = match &refund.origin {
                Origin::Ours => ("ours", 0, None),
                Origin::Cut { refusals } => ("cut", *refusals, None),
                Origin::Outside => ("outside", 0, None),
                Origin::Elsewhere(name) => ("elsewhere", 0, Some(name.as_str())),
            };
            rows.ids.push(refund.id.0);
            rows.payments.push(payment.id.0);
            rows.amounts.push(refund.amount.amount());
            rows.wanted.push(refund.wanted.amount());
            rows.states.push(refund.state.as_str());
            rows.origins.push(origin);
            rows.refusals.push(i32::try_from(refusals).unwrap_or(i32::MAX));
            rows.gateway_ids.push(name);
            rows.actors.push(actor.as_deref());
            rows.reasons.push(name.map(|_| "made at the gateway, by somebody else"));
        }
    }
    if !rows.ids.is_empty() {
        rows.execute(&mut conn).await?;
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Save<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        payments: Vec<Uuid> as Array<SqlUuid>,
        amounts: Vec<i64> as Array<BigInt>,
        wanted: Vec<i64> as Array<BigInt>,
        states: Vec<&'a str> as Array<Text>,
        origins: Vec<&'a str> as Array<Text>,
        refusals: Vec<i32> as Array<Integer>,
        gateway_ids: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        reasons: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        actors: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    };
    "insert into refunds (refund_id, payment_id, amount, wanted, state, origin, refusals, gateway_id, reason, actor) \
     select * from unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
     on conflict (refund_id) do update set amount = excluded.amount, wanted = excluded.wanted, state = excluded.state, \
         origin = excluded.origin, refusals = excluded.refusals, updated_at = now()"
}

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

/// Takes out what staff wrote about the refunds of these orders, and out of the responses that are stored. A transfer's
/// reference stays, by which the bank knows it.
pub(super) async fn forget_texts(mut conn: &AsyncPgConnection, orders: &[Uuid]) -> QueryResult<()> {
    if orders.is_empty() {
        return Ok(());
    }
    ForgetTexts { orders }.execute(&mut conn).await?;
    idempotency::redact(conn, orders, &json!({"reason": null, "settled_outside": null})).await
}

prepared! {
    struct ForgetTexts<'a> { orders: &'a [Uuid] as Array<SqlUuid> };
    "update refunds set reason = case when origin = 'elsewhere' then reason end, outside_reason = case when outside_reason is not null then 'forgotten' end \
     from payments where payments.payment_id = refunds.payment_id and payments.order_id = any(?)"
}

/// Keeps the gateway's name for a refund.
pub async fn note_refund(conn: &mut AsyncPgConnection, id: RefundId, gateway_id: &str) -> QueryResult<()> {
    let named = refunds::gateway_id.eq(gateway_id);
    diesel::update(refunds::table.find(id.0)).set(named).execute(conn).await.map(drop)
}

/// The refunds of a payment, oldest first.
pub async fn of(mut conn: &AsyncPgConnection, id: PaymentId) -> QueryResult<Vec<ShownRefund>> {
    let of = refunds::table.filter(refunds::payment_id.eq(id.0));
    of.order(refunds::seq).select(ShownRefund::as_select()).load(&mut conn).await
}
