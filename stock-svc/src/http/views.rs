use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared_events::{Address, LineText, Money, OrderId, ShipmentId, Sku, StockLine};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Description, LowStockMark, Shipment, Stage};
use crate::store::{categories, movements, products, reservations};

#[derive(Serialize, ToSchema)]
#[schema(as = Category, example = json!(super::examples::category()))]
pub(super) struct CategoryView {
    id: Uuid,
    name: String,
    description: String,
}

impl From<categories::Category> for CategoryView {
    fn from(category: categories::Category) -> Self {
        let categories::Category { id, name, description } = category;
        Self { id, name, description }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Product, example = json!(super::examples::product()))]
pub(super) struct ProductView {
    sku: Sku,
    name: LineText,
    brand: Option<LineText>,
    description: Description,
    /// The category's id, as requests give it.
    category: Option<Uuid>,
    category_name: Option<LineText>,
    price: Money,
    low_stock_mark: Option<u32>,
    status: &'static str,
    on_hand: i64,
    held: i64,
    available: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<products::Listed> for ProductView {
    fn from(listed: products::Listed) -> Self {
        let products::Listed { product, level, created_at, updated_at, version: _ } = listed;
        let (category, category_name) = product.details.category.unzip();
        Self {
            sku: product.sku,
            name: product.details.name,
            brand: product.details.brand,
            description: product.details.description,
            category,
            category_name,
            price: product.details.price,
            low_stock_mark: product.details.low_stock_mark.map(LowStockMark::pieces),
            status: products::status_name(product.status),
            on_hand: level.on_hand,
            held: level.held,
            available: level.available(),
            created_at,
            updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Reservation, example = json!(super::examples::reservation()))]
pub(super) struct ReservationView {
    order_id: OrderId,
    status: String,
    /// Why it was rejected or released.
    reason: Option<String>,
    expires_at: Option<DateTime<Utc>>,
    lines: Vec<StockLine>,
    updated_at: DateTime<Utc>,
}

impl From<reservations::Listed> for ReservationView {
    fn from(listed: reservations::Listed) -> Self {
        let reservations::Listed { order_id, state, release_reason, expires_at, lines, updated_at } = listed;
        let (status, reason) = match state.split_once('_') {
            Some((status, why)) => (status.to_owned(), Some(why.to_owned())),
            None => (state, release_reason),
        };
        Self { order_id, status, reason, expires_at, lines, updated_at }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Shipment, example = json!(super::examples::dispatched()))]
pub(super) struct ShipmentView {
    id: ShipmentId,
    order_id: OrderId,
    status: &'static str,
    lines: Vec<StockLine>,
    /// None once the parcel is called off or the customer is forgotten, and for orders that are older than this field.
    delivery_address: Option<Address>,
    carrier: Option<LineText>,
    tracking_number: Option<LineText>,
    created_at: DateTime<Utc>,
    packed_at: Option<DateTime<Utc>>,
    dispatched_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    cancelled_at: Option<DateTime<Utc>>,
    /// The parcels that replace it, if it was split.
    split_into: Vec<ShipmentId>,
    /// The lines that came back.
    returned: Vec<StockLine>,
    returned_at: Option<DateTime<Utc>>,
    lost_at: Option<DateTime<Utc>>,
}

impl From<(OrderId, Shipment)> for ShipmentView {
    fn from((order_id, shipment): (OrderId, Shipment)) -> Self {
        Self {
            id: shipment.id,
            order_id,
            status: shipment.stage.name(),
            lines: shipment.lines,
            delivery_address: shipment.address,
            carrier: shipment.carrier,
            tracking_number: shipment.tracking_number,
            created_at: shipment.created_at,
            packed_at: shipment.packed_at,
            dispatched_at: shipment.dispatched_at,
            delivered_at: shipment.delivered_at,
            cancelled_at: shipment.cancelled_at,
            split_into: shipment.split_into,
            returned: shipment.returned,
            returned_at: shipment.returned_at,
            lost_at: shipment.lost_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Movement, example = json!(super::examples::movement()))]
pub(super) struct MovementView {
    id: i64,
    kind: String,
    quantity: i64,
    order_id: Option<OrderId>,
    reason: Option<String>,
    at: DateTime<Utc>,
}

impl From<movements::Movement> for MovementView {
    fn from(movement: movements::Movement) -> Self {
        let order_id = movement.order_id();
        let movements::Movement { id, kind, quantity, reason, at, .. } = movement;
        Self { id, kind, quantity, order_id, reason, at }
    }
}

/// The names of a parcel's stages.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum StageName {
    Pending,
    Packed,
    Dispatched,
    Delivered,
    Cancelled,
    Returned,
    Lost,
}

impl From<StageName> for Stage {
    fn from(name: StageName) -> Self {
        match name {
            StageName::Pending => Stage::Pending,
            StageName::Packed => Stage::Packed,
            StageName::Dispatched => Stage::Dispatched,
            StageName::Delivered => Stage::Delivered,
            StageName::Cancelled => Stage::Cancelled,
            StageName::Returned => Stage::Returned,
            StageName::Lost => Stage::Lost,
        }
    }
}
