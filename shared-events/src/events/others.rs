use serde::{Deserialize, Serialize};

use super::topic_events;
use crate::{LineText, Money, NotificationId, OrderId, Sku};

topic_events! {
    /// What notification-svc says of the messages for an order, on `notifications.v1`.
    NotificationEvent {
        Sent(NotificationSent) = "notification.sent.v1",
        Failed(NotificationFailed) = "notification.failed.v1",
        Suppressed(NotificationSuppressed) = "notification.suppressed.v1",
    }
}

topic_events! {
    /// The whole state of one SKU, on the compacted `products.v1`.
    ProductEvent {
        Listed(ProductListed) = "product.listed.v1",
        Changed(ProductChanged) = "product.changed.v1",
        Withdrawn(ProductWithdrawn) = "product.withdrawn.v1",
        StockLow(ProductStockLow) = "product.stock_low.v1",
    }
}

impl NotificationEvent {
    /// The order.
    pub const fn order_id(&self) -> OrderId {
        match self {
            Self::Sent(e) => e.order_id,
            Self::Failed(e) => e.order_id,
            Self::Suppressed(e) => e.order_id,
        }
    }

    /// The message.
    pub const fn notification_id(&self) -> NotificationId {
        match self {
            Self::Sent(e) => e.notification_id,
            Self::Failed(e) => e.notification_id,
            Self::Suppressed(e) => e.notification_id,
        }
    }
}

impl ProductEvent {
    /// The state that it tells, whichever of them it is.
    pub const fn state(&self) -> &ProductState {
        match self {
            Self::Listed(ProductListed(state)) => state,
            Self::Changed(ProductChanged(state)) => state,
            Self::Withdrawn(ProductWithdrawn(state)) => state,
            Self::StockLow(low) => &low.state,
        }
    }

    /// The SKU.
    pub const fn sku(&self) -> &Sku {
        &self.state().sku
    }
}

/// A message went out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotificationSent {
    /// The order.
    pub order_id: OrderId,
    /// The message.
    pub notification_id: NotificationId,
    /// Which text, such as `order_confirmed`.
    pub template: String,
    /// Which way: `email`.
    pub channel: String,
}

/// A message could not be sent and will not be tried again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotificationFailed {
    /// The order.
    pub order_id: OrderId,
    /// The message.
    pub notification_id: NotificationId,
    /// Which text.
    pub template: String,
    /// Which way: `email`.
    pub channel: String,
    /// What the mail server said, without addresses.
    pub error: String,
}

/// Why a message is no longer true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressReason {
    /// It promises that the order goes on, and the order is to end or has ended.
    OrderEnding,
    /// A later message says it anew.
    Superseded,
}

impl SuppressReason {
    /// As it stands on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OrderEnding => "order_ending",
            Self::Superseded => "superseded",
        }
    }
}

/// A message was no longer true when it was to be sent, and will not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotificationSuppressed {
    /// The order.
    pub order_id: OrderId,
    /// The message.
    pub notification_id: NotificationId,
    /// Which text.
    pub template: String,
    /// Which way: `email`.
    pub channel: String,
    /// Why.
    pub reason: SuppressReason,
}

/// Whether a product can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// It can.
    Active,
    /// No longer.
    Withdrawn,
}

/// Everything that others need to know of a SKU. A consumer keeps the highest sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProductState {
    /// What.
    pub sku: Sku,
    /// What it is called.
    pub name: LineText,
    /// The category's name, if it has one.
    pub category: Option<LineText>,
    /// For one piece.
    pub price: Money,
    /// Whether it can be ordered.
    pub status: ProductStatus,
    /// With fewer pieces available than this, its stock is low; none for a SKU that is not watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low_stock_mark: Option<u32>,
}

/// A SKU can be ordered from now on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductListed(pub ProductState);

/// A SKU's state changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductChanged(pub ProductState);

/// A SKU can no longer be ordered.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProductWithdrawn(pub ProductState);

/// Fewer pieces of a SKU are available than its mark; said once each time that they fall below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProductStockLow {
    /// As it is: nothing of it has changed.
    #[serde(flatten)]
    pub state: ProductState,
    /// How many can be held for further orders.
    pub available: i64,
}
