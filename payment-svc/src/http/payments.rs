use actix_web::{HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::auth::Caller;
use service_kit::http::{Cursor, Limit, Paged, Path, Problem, Query};
use shared_events::{Money, OrderId, PaymentId};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::AppState;
use crate::domain::{RefundState, State, status};
use crate::store::ledger::Entry;
use crate::store::payments::{self, Shown};
use crate::store::refunds::ShownRefund;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(inline)]
    order_id: Option<OrderId>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<PaymentId>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Payment, example = json!(super::examples::payment()))]
pub(super) struct PaymentView {
    id: Uuid,
    order_id: Uuid,
    status: &'static str,
    /// Nothing while the order isn't known.
    #[schema(value_type = Option<Money>)]
    amount: Value,
    #[schema(value_type = Option<Money>)]
    captured: Value,
    #[schema(value_type = Option<Money>)]
    refunded: Value,
    attempts: i32,
    failure_code: Option<String>,
    /// What the gateway calls it.
    #[schema(value_type = GatewayIds)]
    gateway: Value,
    created_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PaymentWithRefunds, example = json!(super::examples::whole()))]
pub(super) struct DetailedView {
    #[serde(flatten)]
    payment: PaymentView,
    refunds: Vec<RefundView>,
    ledger: Vec<EntryView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Refund, example = json!(super::examples::asked()))]
pub(super) struct RefundView {
    id: Uuid,
    payment_id: Uuid,
    #[schema(value_type = Money)]
    amount: Value,
    status: String,
    reason: Option<String>,
    gateway_id: Option<String>,
    created_at: DateTime<Utc>,
    /// How much more the gateway took, as by a dispute, than was left of what was captured. It is in no sum.
    #[schema(value_type = Option<Money>)]
    beyond_captured: Value,
    /// Set where the gateway did not make it, and staff gave the money back past it.
    settled_outside: Option<OutsideView>,
}

/// How money went back past the gateway.
#[derive(Serialize, ToSchema)]
#[schema(as = SettledOutside)]
pub(super) struct OutsideView {
    reason: String,
    reference: String,
    at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub(super) struct EntryView {
    operation: String,
    #[schema(value_type = Money)]
    amount: Value,
    debit: String,
    credit: String,
    key: String,
    at: DateTime<Utc>,
}

/// What the gateway calls a payment, for the document.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only what the document says of it is used")]
struct GatewayIds {
    payment_intent: Option<String>,
}

fn money(amount: i64, currency: &str) -> Value {
    json!({"amount": amount, "currency": currency})
}

impl RefundView {
    pub(super) fn new(payment: PaymentId, row: ShownRefund, currency: &str) -> Self {
        let ShownRefund { refund_id: id, amount, state: status, reason, gateway_id, created_at, .. } = row;
        let beyond = row.wanted.filter(|_| row.origin == "elsewhere" && status == RefundState::Done.as_str());
        let beyond = beyond.map(|wanted| wanted - amount).filter(|beyond| *beyond > 0);
        let beyond_captured = json!(beyond.map(|beyond| money(beyond, currency)));
        let outside = row.outside_reason.zip(row.outside_reference).zip(row.outside_at);
        let settled_outside = outside.map(|((reason, reference), at)| OutsideView { reason, reference, at });
        let (payment_id, amount) = (payment.0, money(amount, currency));
        Self { id, payment_id, amount, status, reason, gateway_id, created_at, beyond_captured, settled_outside }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        let Entry { operation, amount, currency, key, debit, credit, at } = entry;
        Self { operation, amount: money(amount, &currency), debit, credit, key, at }
    }
}

impl From<Shown> for PaymentView {
    fn from(row: Shown) -> Self {
        // Both are unknown until order.placed is heard.
        let charge = row.amount.zip(row.currency.as_deref());
        let of_charge = |amount: i64| json!(charge.map(|(_, currency)| money(amount, currency)));
        let state = State::from_name(&row.state);
        Self {
            id: row.payment_id,
            order_id: row.order_id,
            status: state.map_or("unknown", |state| status(state, row.unanswered, row.captured, row.refunded)),
            amount: json!(charge.map(|(amount, currency)| money(amount, currency))),
            captured: of_charge(row.captured),
            refunded: of_charge(row.refunded),
            attempts: row.attempts,
            failure_code: row.failure_code,
            gateway: json!({"payment_intent": row.intent}),
            created_at: made_at(row.payment_id),
            updated_at: row.updated_at,
        }
    }
}

/// When a UUID v7 was made.
fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

/// Payments, the newest first
#[utoipa::path(
    get, path = "/api/v1/payments", tag = "payments", operation_id = "list_payments", params(ListQuery),
    responses((status = 200, description = "A page of them.", body = Paged<PaymentView>))
)]
pub async fn list(state: Data<AppState>, caller: Caller, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let Query(ListQuery { order_id, limit, cursor }) = query;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(after)| after));
    let mut conn = state.pool.get().await?;
    let rows = payments::list(&mut conn, order_id, caller.customer()?, after, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |row| row.payment_id.to_string());
    Ok(HttpResponse::Ok().json(page.map(PaymentView::from)))
}

/// A payment, with its refunds and what stands in the ledger
#[utoipa::path(
    get, path = "/api/v1/payments/{id}", tag = "payments", operation_id = "get_payment",
    params(("id" = inline(PaymentId), Path, description = "The payment.")),
    responses((status = 200, description = "The payment.", body = DetailedView))
)]
pub async fn show(state: Data<AppState>, caller: Caller, id: Path<PaymentId>) -> Result<HttpResponse, Problem> {
    let Path(id) = id;
    let conn = state.pool.get().await?;
    let found = payments::find_with_details(&conn, id, caller.customer()?).await?;
    let (payment, refunds, ledger) = found.ok_or_else(|| Problem::not_found(format!("There is no payment {id}.")))?;
    let currency = payment.currency.clone().unwrap_or_default();
    let refunds = refunds.into_iter().map(|row| RefundView::new(id, row, &currency)).collect();
    let ledger = ledger.into_iter().map(EntryView::from).collect();
    Ok(HttpResponse::Ok().json(DetailedView { payment: payment.into(), refunds, ledger }))
}
