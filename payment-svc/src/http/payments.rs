use std::collections::BTreeMap;

use actix_web::{HttpResponse, web::Data};
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::auth::{Caller, Sees};
use service_kit::http::{Cursor, Limit, Paged, Path, Problem, Query};
use shared_events::{Money, OrderId, PaymentId, StockLine, decline_for_customer};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::AppState;
use crate::domain::{RefundState, State, status};
use crate::store::ledger::Entry;
use crate::store::look_ups::{self, Awaited};
use crate::store::payments::{self, Shown, Which};
use crate::store::refunds::ShownRefund;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(inline)]
    order_id: Option<OrderId>,
    /// What the gateway calls its intent, such as `pi_3Q0`. There is one payment for it at most.
    #[param(inline, value_type = Option<String>, pattern = "^[!-~]{1,255}$")]
    gateway_intent: Option<IntentName>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<PaymentId>>,
}

/// A name that the gateway can have given.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct IntentName(String);

impl TryFrom<String> for IntentName {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_one = (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_one { Ok(Self(name)) } else { Err("expected 1 to 255 visible characters, such as pi_3Q0") }
    }
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
    /// The gateway's code. The banks' rules forbid that customers and guests are shown some; they are shown
    /// `generic_decline` instead.
    failure_code: Option<String>,
    /// How its customer goes on, while it waits for them. For the customer alone: nobody else is shown it.
    next_action: Option<NextActionView>,
    /// What the gateway calls it.
    #[schema(value_type = GatewayIds)]
    gateway: Value,
    created_at: Option<DateTime<Utc>>,
    updated_at: DateTime<Utc>,
}

/// What Stripe's own SDK needs to go on with a payment, or a browser without it.
#[derive(Serialize, ToSchema)]
#[schema(as = NextAction, example = json!(super::examples::next_action()))]
pub(super) struct NextActionView {
    /// `redirect_to_url` if the bank's page has an address, else `use_stripe_sdk`.
    #[serde(rename = "type")]
    kind: &'static str,
    client_secret: Option<String>,
    redirect_to_url: Option<RedirectView>,
    /// Until when the payment waits.
    deadline: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = RedirectToUrl)]
struct RedirectView {
    url: String,
}

impl From<Awaited> for NextActionView {
    fn from(Awaited { action, deadline }: Awaited) -> Self {
        Self {
            kind: if action.url.is_some() { "redirect_to_url" } else { "use_stripe_sdk" },
            client_secret: action.client_secret.map(|secret| secret.expose().to_owned()),
            redirect_to_url: action.url.map(|url| RedirectView { url }),
            deadline,
        }
    }
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
    /// For what, where it was asked for, or caused, line by line.
    #[schema(value_type = Option<Vec<StockLine>>)]
    lines: Option<Value>,
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

pub(super) fn money(amount: i64, currency: &str) -> Value {
    json!({"amount": amount, "currency": currency})
}

impl RefundView {
    pub(super) fn new(payment: PaymentId, row: ShownRefund, currency: &str) -> Self {
        let ShownRefund { refund_id: id, amount, state: status, lines, reason, gateway_id, created_at, .. } = row;
        let beyond = row.wanted.filter(|_| row.origin == "elsewhere" && status == RefundState::Done.as_str());
        let beyond = beyond.map(|wanted| wanted - amount).filter(|beyond| *beyond > 0);
        let beyond_captured = json!(beyond.map(|beyond| money(beyond, currency)));
        let outside = row.outside_reason.zip(row.outside_reference).zip(row.outside_at);
        let settled_outside = outside.map(|((reason, reference), at)| OutsideView { reason, reference, at });
        let (payment_id, amount) = (payment.0, money(amount, currency));
        Self { id, payment_id, amount, status, lines, reason, gateway_id, created_at, beyond_captured, settled_outside }
    }
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        let Entry { operation, amount, currency, key, debit, credit, at } = entry;
        Self { operation, amount: money(amount, &currency), debit, credit, key, at }
    }
}

impl PaymentView {
    fn new(row: Shown, next_action: Option<Awaited>) -> Self {
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
            next_action: next_action.map(NextActionView::from),
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

/// Whose payments a caller sees, if not everybody's.
struct Theirs<'a> {
    customer: Option<&'a str>,
    /// A guest sees the payment of one order.
    order: Option<OrderId>,
}

impl<'a> Theirs<'a> {
    fn of(caller: &'a Caller) -> Result<Self, Problem> {
        match caller.sees() {
            Sees::Order(own) => Ok(Self { customer: None, order: Some(OrderId(*own)) }),
            _ => Ok(Self { customer: caller.customer()?, order: None }),
        }
    }

    /// What they see of a payment. Of why it failed, whoever sees their own alone is shown what a customer may know. A guest
    /// is not shown what the gateway calls it, and nothing once they are forgotten.
    fn seen(&self, mut row: Shown) -> Option<Shown> {
        if self.customer.is_some() || self.order.is_some() {
            row.failure_code = row.failure_code.map(|code| decline_for_customer(&code).to_owned());
        }
        match self.order {
            None => Some(row),
            Some(own) if own.0 == row.order_id && !row.forgotten => Some(Shown { intent: None, ..row }),
            Some(_) => None,
        }
    }

    /// What they see of its refunds. A guest is not shown what staff wrote, or what the gateway and the bank call them.
    fn seen_refund(&self, row: ShownRefund) -> ShownRefund {
        match self.order {
            None => row,
            Some(_) => ShownRefund {
                reason: None,
                gateway_id: None,
                outside_reason: None,
                outside_reference: None,
                outside_at: None,
                ..row
            },
        }
    }
}

/// How the customers of these payments go on, for who is one of them. Staff and machines don't pay for a customer, so they
/// are not shown it, but for what they have bought themselves; where nobody is asked who they are, everybody may do
/// everything.
async fn next_actions(
    conn: &AsyncPgConnection,
    caller: &Caller,
    rows: &[Shown],
) -> Result<BTreeMap<Uuid, Awaited>, Problem> {
    // where nobody is asked, there is no customer that it must be
    let (pays, customer) = match caller.sees() {
        Sees::Customer(_) | Sees::Order(_) => (true, None),
        Sees::Everything if caller.sub().is_none() => (true, None),
        Sees::Everything => (caller.shops_as().is_some(), caller.shops_as()),
        Sees::Nothing => (false, None),
    };
    let waiting = rows.iter().filter(|row| pays && State::from_name(&row.state) == Some(State::ActionRequired));
    let orders: Vec<_> = waiting.map(|row| row.order_id).collect();
    Ok(look_ups::awaited(conn, &orders, customer).await?)
}

/// Payments, the newest first
///
/// To its own customer, one that waits for them shows how they go on (`next_action`).
#[utoipa::path(
    get, path = "/api/v1/payments", tag = "payments", operation_id = "list_payments", params(ListQuery),
    responses((status = 200, description = "A page of them.", body = Paged<PaymentView>))
)]
pub async fn list(state: Data<AppState>, caller: Caller, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let Query(ListQuery { order_id, gateway_intent, limit, cursor }) = query;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(after)| after));
    let theirs = Theirs::of(&caller)?;
    let is_elses = order_id.zip(theirs.order).is_some_and(|(asked, own)| asked != own);
    // A guest is not shown what the gateway calls it, and can't ask for that either.
    let is_elses = is_elses || (gateway_intent.is_some() && theirs.order.is_some());
    let mut conn = state.pool.get().await?;
    let intent = gateway_intent.as_ref().map(|IntentName(name)| name.as_str());
    let which = Which { order: order_id.or(theirs.order), customer: theirs.customer, intent };
    let rows = match is_elses {
        true => Vec::new(),
        false => payments::list(&mut conn, which, after, limit + 1).await?,
    };
    let rows: Vec<_> = rows.into_iter().filter_map(|row| theirs.seen(row)).collect();
    let mut actions = next_actions(&conn, &caller, &rows).await?;
    let page = Paged::from_rows(rows, limit, |row| row.payment_id.to_string());
    let page = page.map(|row| {
        let action = actions.remove(&row.order_id);
        PaymentView::new(row, action)
    });
    Ok(HttpResponse::Ok().json(page))
}

/// A payment, with its refunds and what stands in the ledger
///
/// To its own customer, one that waits for them shows how they go on (`next_action`).
#[utoipa::path(
    get, path = "/api/v1/payments/{id}", tag = "payments", operation_id = "get_payment",
    params(("id" = inline(PaymentId), Path, description = "The payment.")),
    responses((status = 200, description = "The payment.", body = DetailedView))
)]
pub async fn show(state: Data<AppState>, caller: Caller, id: Path<PaymentId>) -> Result<HttpResponse, Problem> {
    let Path(id) = id;
    let theirs = Theirs::of(&caller)?;
    let conn = state.pool.get().await?;
    let found = payments::find_with_details(&conn, id, theirs.customer).await?;
    let found = found.and_then(|(payment, refunds, ledger)| Some((theirs.seen(payment)?, refunds, ledger)));
    let (payment, refunds, ledger) = found.ok_or_else(|| Problem::not_found(format!("There is no payment {id}.")))?;
    let action = next_actions(&conn, &caller, std::slice::from_ref(&payment)).await?.remove(&payment.order_id);
    let currency = payment.currency.clone().unwrap_or_default();
    let refunds = refunds.into_iter().map(|row| RefundView::new(id, theirs.seen_refund(row), &currency)).collect();
    // The shop's books are not for guests.
    let ledger = ledger.into_iter().filter(|_| theirs.order.is_none()).map(EntryView::from).collect();
    Ok(HttpResponse::Ok().json(DetailedView { payment: PaymentView::new(payment, action), refunds, ledger }))
}
