use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{CancelReason, topic_events};
use crate::{LineText, OrderId, Quantity, ShipmentId, Sku};

topic_events! {
    /// What stock-svc says of an order's goods, on `stock.v1`.
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
    /// What stock-svc says of an order's parcels, on `shipments.v1`.
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

    /// The parcel.
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

/// All lines are held until `expires_at`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockReserved {
    /// The order.
    pub order_id: OrderId,
    /// When the hold ends unless it is made firm.
    pub expires_at: DateTime<Utc>,
}

/// What one line lacked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shortage {
    /// What.
    pub sku: Sku,
    /// How many were wanted.
    pub requested: Quantity,
    /// How many could have been held.
    pub available: u32,
}

/// Why goods can't be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Rejection {
    /// Never held: this ends the order, and no money was touched.
    Shortages {
        /// The lines that were short.
        lines: Vec<Shortage>,
    },
    /// Held once, expired, and gone when it was confirmed: the order is cancelled, money follows `released`.
    Expired,
}

/// The goods can't be had. Nothing is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockRejected {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    #[serde(flatten)]
    pub rejection: Rejection,
}

/// The hold is firm.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockCommitted {
    /// The order.
    pub order_id: OrderId,
}

/// Nothing is held for the order any more; money may follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockReleased {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: CancelReason,
}

/// The hold ended by time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockExpired {
    /// The order.
    pub order_id: OrderId,
}

/// Why goods came back onto the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestockCause {
    /// The order was cancelled after its hold was firm and before anything left.
    Cancelled,
    /// A delivered parcel was sent back.
    Returned,
    /// A part of the order had left, and these lines were called off before they could.
    CalledOff,
}

/// Pieces of one SKU.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StockLine {
    /// What.
    pub sku: Sku,
    /// How many.
    pub quantity: Quantity,
}

/// Goods are back on the shelf; money for these lines may follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockRestocked {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub cause: RestockCause,
    /// What came back.
    pub lines: Vec<StockLine>,
}

/// The answer to `order.address_change_requested`. The address itself is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StockAddressDecided {
    /// The order.
    pub order_id: OrderId,
    /// Whether what has not left goes there now: its parcels, or those that will be made.
    pub taken: bool,
    /// The parcels that had left for another address, and go there.
    pub kept: Vec<ShipmentId>,
}

/// A parcel is to be packed and sent: everything in it is paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentCreated {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// What is in it.
    pub lines: Vec<StockLine>,
}

/// The parcel has left the warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentDispatched {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// Who carries it.
    pub carrier: LineText,
    /// Where to follow it.
    pub tracking_number: LineText,
}

/// The parcel has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentDelivered {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
}

/// The parcel was called off before it left: with its order, by itself after another had left, or for those that it was
/// split into.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentCancelled {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// The parcels that take its place; none when its goods went back to the shelf.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub split_into: Vec<ShipmentId>,
}

/// Some or all of the parcel came back.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentReturned {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// What came back with this.
    pub lines: Vec<StockLine>,
}

/// The parcel left and never arrived. Nothing of it comes back; the money for these lines does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentLost {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// What was in it.
    pub lines: Vec<StockLine>,
}

/// The parcel has not left yet and goes elsewhere. The address itself is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentReaddressed {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
}

/// The parcel is on its way with another carrier or under another number than was said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShipmentTrackingCorrected {
    /// The order.
    pub order_id: OrderId,
    /// The parcel.
    pub shipment_id: ShipmentId,
    /// Who carries it.
    pub carrier: LineText,
    /// Where to follow it.
    pub tracking_number: LineText,
    /// The number that was said before: by it a customer knows which parcel this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_tracking_number: Option<LineText>,
}
