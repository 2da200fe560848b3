use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Shortage, topic_events};
use crate::{Address, Customer, LineText, Money, OrderId, PaymentMethod, Quantity, ShipmentId, Sku};

topic_events! {
    /// What order-svc says of an order, on `orders.v1`.
    OrderEvent {
        Placed(OrderPlaced) = "order.placed.v1",
        Confirmed(OrderConfirmed) = "order.confirmed.v1",
        CancelRequested(OrderCancelRequested) = "order.cancel_requested.v1",
        CancelRefused(OrderCancelRefused) = "order.cancel_refused.v1",
        Cancelled(OrderCancelled) = "order.cancelled.v1",
        CallOffRequested(OrderCallOffRequested) = "order.call_off_requested.v1",
        CallOffRefused(OrderCallOffRefused) = "order.call_off_refused.v1",
        AddressChangeRequested(OrderAddressChangeRequested) = "order.address_change_requested.v1",
        AddressChanged(OrderAddressChanged) = "order.address_changed.v1",
        AddressChangeRefused(OrderAddressChangeRefused) = "order.address_change_refused.v1",
        Completed(OrderCompleted) = "order.completed.v1",
    }
}

impl OrderEvent {
    /// The order.
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::Placed(e) => e.order_id,
            Self::Confirmed(e) => e.order_id,
            Self::CancelRequested(e) => e.order_id,
            Self::CancelRefused(e) => e.order_id,
            Self::Cancelled(e) => e.order_id,
            Self::CallOffRequested(e) => e.order_id,
            Self::CallOffRefused(e) => e.order_id,
            Self::AddressChangeRequested(e) => e.order_id,
            Self::AddressChanged(e) => e.order_id,
            Self::AddressChangeRefused(e) => e.order_id,
            Self::Completed(e) => e.order_id,
        }
    }
}

/// Why an order ends without goods and money changing hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CancelReason {
    /// Stock was short when it was placed, or again after its hold expired.
    OutOfStock,
    /// The payment was declined for good.
    PaymentDeclined,
    /// The customer asked for it.
    Customer,
    /// The deadline passed, or the hold expired before it was confirmed.
    Timeout,
    /// The authorisation could not be captured.
    PaymentExpired,
}

impl CancelReason {
    /// As it stands on the wire and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "out_of_stock",
            Self::PaymentDeclined => "payment_declined",
            Self::Customer => "customer",
            Self::Timeout => "timeout",
            Self::PaymentExpired => "payment_expired",
        }
    }

    /// The reason of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::OutOfStock, Self::PaymentDeclined, Self::Customer, Self::Timeout, Self::PaymentExpired]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

/// One line of an order, with the price at the moment it was placed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderLine {
    /// What.
    pub sku: Sku,
    /// What it was called then.
    pub name: LineText,
    /// How many.
    pub quantity: Quantity,
    /// For one piece.
    pub unit_price: Money,
}

/// An order was accepted; from here on it is never lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer: Customer,
    /// Where it goes.
    pub delivery_address: Address,
    /// What was ordered; a SKU stands once.
    pub lines: Vec<OrderLine>,
    /// The sum of the lines.
    pub total: Money,
    /// How it is to be paid, as the gateway names it.
    pub payment_method: PaymentMethod,
    /// When an order that is still pending is given up.
    pub deadline: DateTime<Utc>,
}

/// Goods are held and money is authorised: the pivot, from which the order goes forward or is refunded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
}

/// Goods are to be given back if they have not left; stock-svc decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCancelRequested {
    /// The order.
    pub order_id: OrderId,
    /// Why; the first reason stays.
    pub reason: CancelReason,
}

/// Why a cancellation, or the calling off of a part, that was asked for did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelRefusedReason {
    /// The goods had left.
    Dispatched,
}

/// A cancellation came too late; the way back is a return.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCancelRefused {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancelRefusedReason,
}

/// The order has ended and goods and money are back. Comes last and triggers nothing but mails.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancelReason,
    /// The lines that were short, where that is why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<Shortage>,
    /// The code with which the payment came to nothing, where that is why. Not for customers as it is: see
    /// [`decline_for_customer`](crate::decline_for_customer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_code: Option<String>,
}

impl OrderCancelled {
    /// For that reason, of which no more is known.
    pub const fn new(order_id: OrderId, reason: CancelReason) -> Self {
        Self { order_id, reason, shortages: vec![], payment_code: None }
    }
}

/// A part of the order has left, and what has not is not to be sent any more; stock-svc decides. Its answer is
/// `stock.restocked {called_off}`, and none where nothing is left to call off.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCallOffRequested {
    /// The order.
    pub order_id: OrderId,
}

/// Everything had left before the rest could be called off; the way back is a return.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCallOffRefused {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancelRefusedReason,
}

/// What has not left is to go elsewhere; stock-svc decides, since a parcel may have left. Its answer is
/// `stock.address_decided`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderAddressChangeRequested {
    /// The order.
    pub order_id: OrderId,
    /// Where it is to go.
    pub delivery_address: Address,
}

/// Why an order, or some parcels of it, did not take an address that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressRefusedReason {
    /// These parcels had left.
    Dispatched,
    /// Nothing of the order is going to leave.
    Ended,
}

/// These parcels of the order, or the whole of it, did not take the address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderAddressChangeRefused {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: AddressRefusedReason,
    /// The parcels that had left, and go where they were sent.
    pub shipments: Vec<ShipmentId>,
}

/// What has not left yet goes elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderAddressChanged {
    /// The order.
    pub order_id: OrderId,
    /// Where it goes now.
    pub delivery_address: Address,
}

/// Everything that was not called off was delivered and paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCompleted {
    /// The order.
    pub order_id: OrderId,
}
