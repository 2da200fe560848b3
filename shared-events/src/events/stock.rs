use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CancelReason, topic_events};
use crate::{LineText, OrderId, Quantity, ShipmentId, Sku};

topic_events! {
    /// The events of an order's stock, published by stock-svc on `stock.v1`.
    StockEvent {
        Reserved(StockReserved) = "stock.reserved.v1",
        Rejected(StockRejected) = "stock.rejected.v1",
        Committed(StockCommitted) = "stock.committed.v1",
        Released(StockReleased) = "stock.released.v1",
        Expired(StockExpired) = "stock.expired.v1",
        Restocked(StockRestocked) = "stock.restocked.v1",
        AddressDecided(StockAddressDecided) = "stock.address_decided.v1",
    }
}

topic_events! {
    /// The events of an order's shipments, published by stock-svc on `shipments.v1`.
    ShipmentEvent {
        Created(ShipmentCreated) = "shipment.created.v1",
        Dispatched(ShipmentDispatched) = "shipment.dispatched.v1",
        Delivered(ShipmentDelivered) = "shipment.delivered.v1",
        Cancelled(ShipmentCancelled) = "shipment.cancelled.v1",
        Returned(ShipmentReturned) = "shipment.returned.v1",
        Lost(ShipmentLost) = "shipment.lost.v1",
        Readdressed(ShipmentReaddressed) = "shipment.readdressed.v1",
        TrackingCorrected(ShipmentTrackingCorrected) = "shipment.tracking_corrected.v1",
    }
}

impl StockEvent {
    /// The order.
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::Reserved(e) => e.order_id,
            Self::Rejected(e) => e.order_id,
            Self::Committed(e) => e.order_id,
            Self::Released(e) => e.order_id,
            Self::Expired(e) => e.order_id,
            Self::Restocked(e) => e.order_id,
            Self::AddressDecided(e) => e.order_id,
        }
    }
}

impl ShipmentEvent {
    /// The order.
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::Created(e) => e.order_id,
            Self::Dispatched(e) => e.order_id,
            Self::Delivered(e) => e.order_id,
            Self::Cancelled(e) => e.order_id,
            Self::Returned(e) => e.order_id,
            Self::Lost(e) => e.order_id,
            Self::Readdressed(e) => e.order_id,
            Self::TrackingCorrected(e) => e.order_id,
        }
    }

    /// The shipment.
    pub const fn shipment_id(&self) -> ShipmentId {
        match self {
            Self::Created(e) => e.shipment_id,
            Self::Dispatched(e) => e.shipment_id,
            Self::Delivered(e) => e.shipment_id,
            Self::Cancelled(e) => e.shipment_id,
            Self::Returned(e) => e.shipment_id,
            Self::Lost(e) => e.shipment_id,
            Self::Readdressed(e) => e.shipment_id,
            Self::TrackingCorrected(e) => e.shipment_id,
        }
    }
}

/// All lines are reserved until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockReserved {
    /// The order.
    pub order_id: OrderId,
    /// When the reservation expires unless it is committed.
    pub expires_at: DateTime<Utc>,
}

/// A line that can't be reserved in full.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shortage {
    /// The SKU.
    pub sku: Sku,
    /// How many were ordered.
    pub requested: Quantity,
    /// How many could have been reserved.
    pub available: u32,
}

/// Why stock can't be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Rejection {
    /// The stock was never reserved. This ends the order; no money was touched.
    Shortages {
        /// The lines that were short.
        lines: Vec<Shortage>,
    },
    /// The reservation had expired, and the stock was gone when the order was confirmed. The order is cancelled, and
    /// payment-svc acts on `released`.
    Expired,
}

/// The stock can't be reserved, and nothing is reserved.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockRejected {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    #[serde(flatten)]
    pub rejection: Rejection,
}

/// The reservation is committed: it no longer expires.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockCommitted {
    /// The order.
    pub order_id: OrderId,
}

/// Nothing is reserved for the order any more, so payment-svc may void or refund.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockReleased {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub reason: CancelReason,
}

/// The reservation expired.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockExpired {
    /// The order.
    pub order_id: OrderId,
}

/// Why stock came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestockCause {
    /// The order was cancelled after its reservation was committed and before anything left.
    Cancelled,
    /// A delivered shipment was sent back.
    Returned,
    /// A part of the order had left, and these lines were called off before they did.
    CalledOff,
}

/// A quantity of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StockLine {
    /// The SKU.
    pub sku: Sku,
    /// The number of pieces.
    pub quantity: Quantity,
}

/// Stock came back, so payment-svc may refund these lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockRestocked {
    /// The order.
    pub order_id: OrderId,
    /// The reason.
    pub cause: RestockCause,
    /// What came back.
    pub lines: Vec<StockLine>,
}

/// The answer to `order.address_change_requested`. It doesn't repeat the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockAddressDecided {
    /// The order.
    pub order_id: OrderId,
    /// Whether everything that has not left goes to the new address, including shipments that are yet to be created.
    pub taken: bool,
    /// The shipments that had left, and go to their old address.
    pub kept: Vec<ShipmentId>,
}

/// A shipment is to be packed and sent: everything in it is paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentCreated {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// Its contents.
    pub lines: Vec<StockLine>,
}

/// The shipment has left the warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentDispatched {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The carrier.
    pub carrier: LineText,
    /// The tracking number.
    pub tracking_number: LineText,
}

/// The shipment has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentDelivered {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
}

/// The shipment was called off before it left: together with its order, alone after another had left, or because it
/// was split.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentCancelled {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The shipments that replace it; none if its stock was restocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_into: Vec<ShipmentId>,
}

/// The shipment came back, in whole or in part.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentReturned {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// What came back this time.
    pub lines: Vec<StockLine>,
}

/// The shipment left and never arrived. Its stock doesn't come back, but its lines are refunded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentLost {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// Its contents.
    pub lines: Vec<StockLine>,
}

/// A shipment that has not left goes to another address. The event doesn't repeat the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentReaddressed {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
}

/// The carrier or tracking number of a shipment that has left was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentTrackingCorrected {
    /// The order.
    pub order_id: OrderId,
    /// The shipment.
    pub shipment_id: ShipmentId,
    /// The carrier.
    pub carrier: LineText,
    /// The tracking number.
    pub tracking_number: LineText,
    /// The number as it was before. By it a customer knows which shipment this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_tracking_number: Option<LineText>,
}
