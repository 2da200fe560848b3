use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_TYPE, web::Data};
use serde::{Deserialize, Serialize};
use service_kit::http::openapi::Key;
use service_kit::http::{IdempotencyKey, Json, Path, Problem, RateLimited};
use shared_events::{LineText, Money, PaymentId, RefundId};
use utoipa::ToSchema;

use super::{AppState, payments::RefundView, webhooks::commands_problem};
use crate::commands::{self, RefundPayment, RefundPaymentError, SettleOutside};
use crate::domain::Refused;
use crate::store::refunds::ShownRefund;

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": {"amount": 500, "currency": "EUR"}, "reason": "A dented tin."}))]
pub struct RefundRequest {
    amount: Money,
    reason: LineText,
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

/// Gives money back
///
/// `amount.amount` is at least 1. The gateway is asked afterwards: the payment shows what came of it.
#[utoipa::path(
    post, path = "/api/v1/payments/{id}/refunds", tag = "payments", operation_id = "refund_payment",
    params(("id" = inline(PaymentId), Path, description = "The payment."), ("Idempotency-Key" = inline(Option<Key>), Header)),
    request_body = RefundRequest,
    responses(
        (status = 202, description = "It will be given back.", body = RefundView),
        (status = 409, description = "Nothing is captured, or less remains; or a request with this key is worked on."),
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
    let RefundRequest { amount, reason } = request;
    if amount.is_zero() {
        return Err(Problem::bad_input("amount.amount", "It is 0, and nothing is given back by that."));
    }
    if let Err(why) = amount.to_gateway() {
        return Err(Problem::bad_input("amount.amount", format!("It can't be given back: {why}.")));
    }
    let command = RefundPayment { payment, amount, reason, once };
    let body = commands::refund_payment(&state.pool, &command, |refund| answer(payment, amount, refund)).await;
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
        (status = 409, description = "It has not failed, or less remains by now; or a request with this key is worked on.")
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
    let view =
        |refund: &ShownRefund, currency: &str| serde_json::to_vec(&RefundView::new(payment, refund.clone(), currency));
    let body = commands::settle_outside(&state.pool, &command, view).await;
    let body = body.map_err(|error| refused(payment, error))?;
    state.relay.nudge();
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body))
}

/// The 202 for a new refund, as it is given and kept.
fn answer(payment: PaymentId, amount: Money, refund: &ShownRefund) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&RefundView::new(payment, refund.clone(), amount.currency().code()))
}

service_kit::problem_codes! {
    /// The codes of problems that only this service has: 422 for `OtherCurrency`, else 409.
    pub enum PaymentCode {
        /// Nothing is captured that could be given back, or more was asked for than remains.
        NotRefundable = "not_refundable",
        OtherCurrency = "other_currency",
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
