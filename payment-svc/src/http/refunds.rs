use actix_web::{HttpRequest, HttpResponse, http::header::CONTENT_TYPE, web::Data};
use serde::{Deserialize, Serialize};
use service_kit::http::openapi::Key;
use service_kit::http::{IdempotencyKey, Json, Path, Problem};
use service_kit::once::Once;
use sha2::{Digest, Sha256};
use shared_events::{LineText, Money, PaymentId};
use utoipa::ToSchema;

use super::{AppState, payments::RefundView, webhooks::commands_problem};
use crate::{
    commands::{self, RefundPayment, RefundPaymentError},
    domain::Refused,
    store::payments::ShownRefund,
};

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"amount": {"amount": 500, "currency": "EUR"}, "reason": "A dented tin."}))]
pub struct RefundRequest {
    amount: Money,
    reason: LineText,
}

impl RefundRequest {
    /// What tells this request from another: SHA-256 of its content, however its JSON was laid out.
    fn fingerprint(&self, payment: PaymentId) -> serde_json::Result<Vec<u8>> {
        Ok(Sha256::digest(serde_json::to_vec(&(payment, self))?).to_vec())
    }
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
        (status = 409, description = "Nothing is captured, or less remains; or a request with this key is worked on.")
    )
)]
pub async fn refund(
    state: Data<AppState>,
    http: HttpRequest,
    id: Path<PaymentId>,
    request: Json<RefundRequest>,
) -> Result<HttpResponse, Problem> {
    let (Path(payment), request) = (id, request.into_inner());
    let once = match IdempotencyKey::optional(&http)? {
        Some(key) => Some(Once { key: key.0, request: request.fingerprint(payment).map_err(Problem::internal)? }),
        None => None,
    };
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

/// The 202 for a new refund, as it is given and kept.
fn answer(payment: PaymentId, amount: Money, refund: &ShownRefund) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&RefundView::new(payment, refund.clone(), amount.currency().code()))
}

service_kit::problem_codes! {
    /// The codes of problems that only this service has.
    pub enum PaymentCode {
        /// 409: nothing is captured that could be given back, or more was asked for than remains.
        NotRefundable = "not_refundable",
        /// 422: the payment is in another currency.
        OtherCurrency = "other_currency",
    }
}

fn refused(payment: PaymentId, error: RefundPaymentError) -> Problem {
    match error {
        RefundPaymentError::NotFound => Problem::not_found(format!("There is no payment {payment}.")),
        RefundPaymentError::OtherCurrency(currency) => {
            Problem::bad_input("amount.currency", format!("The payment is in {}.", currency.code()))
                .code(PaymentCode::OtherCurrency)
        }
        RefundPaymentError::Refused(why @ (Refused::Not { .. } | Refused::MoreThanRemains { .. })) => {
            Problem::conflict(format!("Payment {payment} stays as it is: {why}.")).code(PaymentCode::NotRefundable)
        }
        RefundPaymentError::Refused(why) => Problem::internal(why),
        RefundPaymentError::OtherRequest => Problem::key_reused(),
        RefundPaymentError::InFlight => Problem::key_in_flight(),
        RefundPaymentError::Pool(error) => error.into(),
        RefundPaymentError::Database(error) => error.into(),
        RefundPaymentError::Reaction(error) => commands_problem(&error),
        RefundPaymentError::Answer(error) => Problem::internal(error),
    }
}
