use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::topic_events;
use crate::{Money, OrderId, PaymentId, RefundId};

topic_events! {
    /// The events of an order's payment, published by payment-svc on `payments.v1`.
    PaymentEvent {
        Authorized(PaymentAuthorized) = "payment.authorized.v1",
        Declined(PaymentDeclined) = "payment.declined.v1",
        ActionRequired(PaymentActionRequired) = "payment.action_required.v1",
        Captured(PaymentCaptured) = "payment.captured.v1",
        CaptureFailed(PaymentCaptureFailed) = "payment.capture_failed.v1",
        Voided(PaymentVoided) = "payment.voided.v1",
        Refunded(PaymentRefunded) = "payment.refunded.v1",
        RefundFailed(PaymentRefundFailed) = "payment.refund_failed.v1",
        Unknown(PaymentUnknown) = "payment.unknown.v1",
    }
}

impl PaymentEvent {
    /// The refund that it is about, if it is about one.
    pub const fn refund(&self) -> Option<RefundId> {
        match self {
            Self::Refunded(e) => Some(e.refund_id),
            Self::RefundFailed(e) => Some(e.refund_id),
            _ => None,
        }
    }

    /// The order.
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::Authorized(e) => e.order_id,
            Self::Declined(e) => e.order_id,
            Self::ActionRequired(e) => e.order_id,
            Self::Captured(e) => e.order_id,
            Self::CaptureFailed(e) => e.order_id,
            Self::Voided(e) => e.order_id,
            Self::Refunded(e) => e.order_id,
            Self::RefundFailed(e) => e.order_id,
            Self::Unknown(e) => e.order_id,
        }
    }

    /// The payment.
    pub const fn payment_id(&self) -> PaymentId {
        match self {
            Self::Authorized(e) => e.payment_id,
            Self::Declined(e) => e.payment_id,
            Self::ActionRequired(e) => e.payment_id,
            Self::Captured(e) => e.payment_id,
            Self::CaptureFailed(e) => e.payment_id,
            Self::Voided(e) => e.payment_id,
            Self::Refunded(e) => e.payment_id,
            Self::RefundFailed(e) => e.payment_id,
            Self::Unknown(e) => e.payment_id,
        }
    }
}

/// The money is reserved at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The amount: the order's total.
    pub amount: Money,
}

/// The gateway declined the payment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentDeclined {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The gateway's code, such as `card_declined` or `insufficient_funds`.
    pub code: String,
    /// Whether the payment will be retried; the last decline says no.
    pub retryable: bool,
}

/// The customer has to act before the payment can be authorised, as with 3-D Secure.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentActionRequired {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// How long the shop waits for the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<DateTime<Utc>>,
    /// Where the customer acts, such as their bank's page, if the gateway gave an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The authorised money was captured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentCaptured {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The amount: the order's total.
    pub amount: Money,
}

/// The authorisation can't be captured.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentCaptureFailed {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The gateway's code.
    pub code: String,
}

/// Nothing is authorised for the order any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentVoided {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The amount that had been authorised; 0 if authorisation never started.
    pub amount: Money,
}

/// Captured money was refunded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentRefunded {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The refunded amount.
    pub amount: Money,
    /// The part of the captured amount that is not refunded.
    pub remaining: Money,
}

/// The gateway refused a refund; a person must look at it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentRefundFailed {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The refund.
    pub refund_id: RefundId,
    /// The amount that should have been refunded.
    pub amount: Money,
    /// The gateway's code.
    pub code: String,
}

/// An operation of the payment gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GatewayOperation {
    /// Reserve the money.
    Authorise,
    /// Take what was authorised.
    Capture,
    /// Release what was authorised.
    Void,
    /// Refund what was captured.
    Refund,
}

/// The gateway did not answer; payment-svc will ask it what happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PaymentUnknown {
    /// The order.
    pub order_id: OrderId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The operation that got no answer.
    pub operation: GatewayOperation,
}
