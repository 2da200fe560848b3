use std::collections::BTreeSet;

use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_TYPE, web::Data};
use serde::{Deserialize, Serialize};
use service_kit::http::openapi::Key;
use service_kit::http::{FieldError, IdempotencyKey, Json, Path, Problem, RateLimited};
use shared_events::{LineText, Money, PaymentId, Quantity, RefundId, Sku, StockLine};
use utoipa::ToSchema;

use super::{AppState, payments::RefundView, webhooks::commands_problem};
use crate::commands::{self, RefundPayment, RefundPaymentError, SettleOutside, WhatGoesBack};
use crate::domain::Refused;
use crate::store::refunds::ShownRefund;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 1}], "reason": "A dented tin."}))]
pub struct RefundRequest {
    /// How much; or else `lines`.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Money>,
    /// For what: at the price that it was ordered at. Each SKU in one line only; or else `amount`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1)]
    lines: Option<Vec<RefundLine>>,
    reason: LineText,
}

#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundLine {
    sku: Sku,
    quantity: Quantity,
}

impl RefundRequest {
    fn what(&self) -> Result<WhatGoesBack, Problem> {
        match (self.amount, &self.lines) {
            (Some(amount), None) => checked_amount(amount),
            (None, Some(lines)) => checked_lines(lines),
            (Some(_), Some(_)) => Err(Problem::bad_input("lines", "There is an amount too; expected one of both.")),
            (None, None) => Err(Problem::bad_input("amount", "It is missing, and so are lines; expected one of both.")),
        }
    }
}

fn checked_amount(amount: Money) -> Result<WhatGoesBack, Problem> {
    if amount.is_zero() {
        return Err(Problem::bad_input("amount.amount", "It is 0, and nothing is given back by that."));
    }
    match amount.to_gateway() {
        Ok(_) => Ok(WhatGoesBack::Amount(amount)),
        Err(why) => Err(Problem::bad_input("amount.amount", format!("It can't be given back: {why}."))),
    }
}

fn checked_lines(lines: &[RefundLine]) -> Result<WhatGoesBack, Problem> {
    if lines.is_empty() {
        return Err(Problem::bad_input("lines", "There are none; expected what is to be given back."));
    }
    let mut seen = BTreeSet::new();
    let twice = lines.iter().enumerate().filter(|(_, line)| !seen.insert(&line.sku));
    let error = |at| FieldError::new(format!("lines[{at}].sku"), "it is given twice").code(PaymentCode::SkuTwice);
    let errors: Vec<_> = twice.map(|(at, _)| error(at)).collect();
    if !errors.is_empty() {
        return Err(Problem::bad_fields(errors));
    }
    let line = |line: &RefundLine| StockLine { sku: line.sku.clone(), quantity: line.quantity };
    Ok(WhatGoesBack::Lines(lines.iter().map(line).collect()))
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reason": "The card is closed: sent to the customer's account.", "reference": "SEPA 2026-07-21/0042"}))]
pub struct SettleRequest {
    /// Why the money went back so.
    reason: LineText,
    /// Under which the transfer is found.
    reference: LineText,
}

/// Gives money back: an amount, or what lines of the order cost
///
/// `amount.amount` is at least 1; of a line no more is given back than was bought and not given back by line before. The
/// gateway is asked afterwards: the payment shows what came of it.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/refunds", tag = "payments", operation_id = "refund_payment",
    params(("id" = inline(PaymentId), Path, description = "The payment."), ("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = RefundRequest,
    responses(
        (status = 202, description = "It will be given back.", body = RefundView),
        (status = 409, description = "Nothing is captured, or less remains; or it is for lines, and nobody knows which of \
            them an older refund was for; or a request with this key is worked on."),
        (status = 429, description = "Too many refunds were asked for; try again later.")
    )
)]
pub async fn refund(
    _: RateLimited,
    state: Data<AppState>,
    http: HttpRequest,
    id: Path<PaymentId>,
    request: Json<RefundRequest>,
) -> Result<HttpResponse, Problem> {
    let (Path(payment), request) = (id, request.into_inner());
    let once = IdempotencyKey::request(&http, &(payment, &request))?;
    let command = RefundPayment { payment, what: request.what()?, reason: request.reason, once };
    let body = commands::refund_payment(&state.pool, &command, view_of(payment)).await;
    let body = body.map_err(|error| refused(payment, error))?;
    state.calls.nudge();
    state.relay.nudge();
    Ok(HttpResponse::Accepted().insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// A refund that the gateway does not make was given back outside of it, as by bank transfer
///
/// That ends the refund: it is `done`, stands in the ledger, and is announced as money that went back. The gateway is not
/// asked. Only for one that is `failed`: while its answer is awaited, or once it was made, it is refused.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/refunds/{refund_id}/settle-outside", tag = "payments",
    operation_id = "settle_refund_outside",
    params(("id" = inline(PaymentId), Path, description = "The payment."),
        ("refund_id" = inline(RefundId), Path, description = "The refund."),
        ("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = SettleRequest,
    responses(
        (status = 200, description = "The refund as it is now, or was when this key was first sent.", body = RefundView,
            example = json!(super::examples::settled())),
        (status = 409, description = "It has not failed, or less remains by now, or fewer of its lines; or a request with this key is worked on.")
    )
)]
pub async fn settle_outside(
    state: Data<AppState>,
    http: HttpRequest,
    ids: Path<(PaymentId, RefundId)>,
    request: Json<SettleRequest>,
) -> Result<HttpResponse, Problem> {
    let (Path((payment, refund)), request) = (ids, request.into_inner());
    let once = IdempotencyKey::request(&http, &("settle_outside", payment, refund, &request))?;
    let SettleRequest { reason, reference } = request;
    let command = SettleOutside { payment, refund, reason, reference, once };
    let body = commands::settle_outside(&state.pool, &command, view_of(payment)).await;
    let body = body.map_err(|error| refused(payment, error))?;
    state.relay.nudge();
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// The body of an answer, as it is given and kept.
fn view_of(payment: PaymentId) -> impl Fn(&ShownRefund, &str) -> serde_json::Result<Vec<u8>> + Send + Sync {
    move |refund, currency| serde_json::to_vec(&RefundView::new(payment, refund.clone(), currency))
}

service_kit::problem_codes! {
    /// The codes of problems that only this service has: 422 for `OtherCurrency` and what is wrong with lines, else 409.
    pub enum PaymentCode {
        /// Nothing is captured that could be given back, or more was asked for than remains.
        NotRefundable = "not_refundable",
        OtherCurrency = "other_currency",
        SkuTwice = "sku_twice",
        /// The order has no such line.
        NotOrdered = "not_ordered",
        /// More was asked for than was bought and not given back by line.
        FewerLeft = "fewer_left",
        /// Some of the order's goods came back before refunds were kept by line: more goes back by amount only.
        ByAmountOnly = "by_amount_only",
        /// The refund is not one that has failed, so it isn't settled outside of the gateway.
        RefundNotFailed = "refund_not_failed",
    }
}

fn refused(payment: PaymentId, error: RefundPaymentError) -> Problem {
    match error {
        RefundPaymentError::NotFound => Problem::not_found(format!("There is no payment {payment}.")),
        RefundPaymentError::NoRefund => Problem::not_found(format!("Payment {payment} has no such refund.")),
        RefundPaymentError::Refused(why @ Refused::RefundNotFailed { .. }) => {
            Problem::conflict(format!("Nothing is booked: {why}.")).code(PaymentCode::RefundNotFailed)
        }
        RefundPaymentError::OtherCurrency(currency) => {
            Problem::bad_input("amount.currency", format!("The payment is in {}.", currency.code()))
                .code(PaymentCode::OtherCurrency)
        }
        RefundPaymentError::Line { at, why } => {
            let (field, code) = match &why {
                Refused::FewerLeft { .. } => ("quantity", PaymentCode::FewerLeft),
                _ => ("sku", PaymentCode::NotOrdered),
            };
            let message = match &why {
                Refused::NotOrdered { sku } => format!("{sku} is not among the order's lines."),
                _ => format!("{why}."),
            };
            Problem::bad_fields(vec![FieldError::new(format!("lines[{at}].{field}"), message).code(code)])
        }
        RefundPaymentError::Fraction { amount, why } => {
            Problem::bad_input("lines", format!("They cost {amount}, which can't be given back: {why}."))
        }
        RefundPaymentError::Refused(why @ Refused::LinesUnknown) => {
            Problem::conflict(format!("Payment {payment} stays as it is: {why}.")).code(PaymentCode::ByAmountOnly)
        }
        RefundPaymentError::Refused(why @ Refused::FewerLeft { .. }) => {
            Problem::conflict(format!("Nothing is booked: {why}.")).code(PaymentCode::FewerLeft)
        }
        RefundPaymentError::Refused(why @ (Refused::Not { .. } | Refused::MoreThanRemains { .. })) => {
            Problem::conflict(format!("Payment {payment} stays as it is: {why}.")).code(PaymentCode::NotRefundable)
        }
        RefundPaymentError::Refused(why) => Problem::internal(why),
        RefundPaymentError::Key(refused) => refused.into(),
        RefundPaymentError::Pool(error) => error.into(),
        RefundPaymentError::Database(error) => error.into(),
        RefundPaymentError::Reaction(error) => commands_problem(&error),
        RefundPaymentError::Answer(error) => Problem::internal(error),
    }
}
