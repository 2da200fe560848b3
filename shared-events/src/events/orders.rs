use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Shortage, topic_events};
use crate::{Address, Customer, CustomerId, LineText, Money, OrderId, PaymentMethod, Quantity, ShipmentId, Sku};

topic_events! {
    /// The events of orders, published by order-svc on `orders.v1`.
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
        Forgotten(OrderForgotten) = "order.forgotten.v1",
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
            Self::Forgotten(e) => e.order_id,
        }
    }
}

crate::named! {
    /// Why an order was cancelled.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum CancelReason: as_str {
        /// Stock was short when the order was placed, or when its reservation had expired.
        OutOfStock = "out_of_stock",
        /// The payment was declined and won't be retried.
        PaymentDeclined = "payment_declined",
        /// The customer asked for it.
        Customer = "customer",
        /// The deadline passed, or the reservation expired before the order was confirmed.
        Timeout = "timeout",
        /// The authorisation could not be captured.
        PaymentExpired = "payment_expired",
    }
}

/// One line of an order, with the price at the time it was placed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderLine {
    /// The SKU.
    pub sku: Sku,
    /// The product's name at that time.
    pub name: LineText,
    /// The number of pieces.
    pub quantity: Quantity,
    /// The price of one piece.
    pub unit_price: Money,
}

/// An order was accepted. From here on it is never lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderPlaced {
    /// The order.
    pub order_id: OrderId,
    /// The customer.
    pub customer: Customer,
    /// The delivery address.
    pub delivery_address: Address,
    /// The lines; each SKU occurs once.
    pub lines: Vec<OrderLine>,
    /// The sum of the lines.
    pub total: Money,
    /// The payment method, as the gateway names it.
    pub payment_method: PaymentMethod,
    /// When a pending order is given up.
    pub deadline: DateTime<Utc>,
}

/// Stock is reserved and the payment is authorised. This is the pivot: from here the order goes forward or is
/// refunded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderConfirmed {
    /// The order.
    pub order_id: OrderId,
}

/// stock-svc shall release the stock unless a shipment has left; it decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCancelRequested {
    /// The order.
    pub order_id: OrderId,
    /// The reason. The first one stays.
    pub reason: CancelReason,
}

/// Why a cancellation, or the calling off of a part, was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelRefusedReason {
    /// The shipments had left.
    Dispatched,
}

/// A cancellation came too late: the customer can only return the goods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCancelRefused {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub reason: CancelRefusedReason,
}

/// The order has ended: its stock is released and its money is back. It is the last event of the order, and only
/// notifications follow from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub reason: CancelReason,
    /// The lines that were short, if that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shortages: Vec<Shortage>,
    /// The gateway's code for the failed payment, if that is the reason. It must not reach customers as it is: see
    /// [`decline_for_customer`](crate::decline_for_customer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_code: Option<String>,
}

impl OrderCancelled {
    /// A cancellation with only its reason.
    pub const fn new(order_id: OrderId, reason: CancelReason) -> Self {
        Self { order_id, reason, shortages: vec![], payment_code: None }
    }
}

/// A part of the order has left, and the rest shall not be sent; stock-svc decides. It answers with
/// `stock.restocked {called_off}`, or not at all if nothing is left to call off.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCallOffRequested {
    /// The order.
    pub order_id: OrderId,
}

/// Everything had left before the rest could be called off: the customer can only return the goods.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCallOffRefused {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub reason: CancelRefusedReason,
}

/// The customer wants another address for what has not left. stock-svc decides, since a shipment may have left, and
/// answers with `stock.address_decided`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderAddressChangeRequested {
    /// The order.
    pub order_id: OrderId,
    /// The new address.
    pub delivery_address: Address,
}

/// Why an order, or some of its shipments, did not take a new address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressRefusedReason {
    /// The shipments had left.
    Dispatched,
    /// Nothing of the order will be sent any more.
    Ended,
}

/// These shipments, or the whole order, did not take the new address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderAddressChangeRefused {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub reason: AddressRefusedReason,
    /// The shipments that had left, and go to their old address.
    pub shipments: Vec<ShipmentId>,
}

/// Everything that has not left goes to the new address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderAddressChanged {
    /// The order.
    pub order_id: OrderId,
    /// The new address.
    pub delivery_address: Address,
}

/// Everything that was not called off has been delivered and paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderCompleted {
    /// The order.
    pub order_id: OrderId,
}

/// The order has ended and its customer is forgotten: whoever keeps something of the person with this order (name,
/// address, texts) drops it. No status and no amount changes. It is the order's last event, behind all that name the
/// person, so that a replay of the topic ends the same way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderForgotten {
    /// The order.
    pub order_id: OrderId,
    /// Whose it was.
    pub customer_id: CustomerId,
}
