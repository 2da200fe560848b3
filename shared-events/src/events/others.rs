use serde::{Deserialize, Serialize};

use super::topic_events;
use crate::{LineText, Money, NotificationId, OrderId, Sku};

topic_events! {
    /// The events of an order's notifications, published by notification-svc on `notifications.v1`.
    NotificationEvent {
        Sent(NotificationSent) = "notification.sent.v1",
        Failed(NotificationFailed) = "notification.failed.v1",
        Suppressed(NotificationSuppressed) = "notification.suppressed.v1",
    }
}

topic_events! {
    /// The whole state of one SKU, published by stock-svc on the compacted `products.v1`.
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

    /// The notification.
    pub const fn notification_id(&self) -> NotificationId {
        match self {
            Self::Sent(e) => e.notification_id,
            Self::Failed(e) => e.notification_id,
            Self::Suppressed(e) => e.notification_id,
        }
    }
}

impl ProductEvent {
    /// The state that every one of these events carries.
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

/// A notification was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotificationSent {
    /// The order.
    pub order_id: OrderId,
    /// The notification.
    pub notification_id: NotificationId,
    /// The name of the template, such as `order_confirmed`.
    pub template: String,
    /// The channel: `email`, `sms` or `push`.
    pub channel: String,
}

/// A notification could not be sent and won't be retried by itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotificationFailed {
    /// The order.
    pub order_id: OrderId,
    /// The notification.
    pub notification_id: NotificationId,
    /// The name of the template.
    pub template: String,
    /// The channel: `email`, `sms` or `push`.
    pub channel: String,
    /// What the server answered, without what may name a person.
    pub error: String,
}

crate::named! {
    /// Why a notification is no longer true.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum SuppressReason: as_str {
        /// It promises that the order goes on, but the order is ending or has ended.
        OrderEnding = "order_ending",
        /// A later notification replaces it.
        Superseded = "superseded",
        /// The customer wants none of its kind.
        Unwanted = "unwanted",
        /// The customer is forgotten.
        Forgotten = "forgotten",
    }
}

/// A notification was no longer true when it was due, and will not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NotificationSuppressed {
    /// The order.
    pub order_id: OrderId,
    /// The notification.
    pub notification_id: NotificationId,
    /// The name of the template.
    pub template: String,
    /// The channel: `email`, `sms` or `push`.
    pub channel: String,
    /// The reason.
    pub reason: SuppressReason,
}

/// Whether a product can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductStatus {
    /// It can be ordered.
    Active,
    /// It can no longer be ordered.
    Withdrawn,
}

/// What other services need to know of a SKU. A consumer keeps the event with the highest sequence.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProductState {
    /// The SKU.
    pub sku: Sku,
    /// The product's name.
    pub name: LineText,
    /// The category's name, if it has one.
    pub category: Option<LineText>,
    /// The price of one piece.
    pub price: Money,
    /// Whether it can be ordered.
    pub status: ProductStatus,
    /// The mark below which the available stock counts as low; none if the SKU is not watched.
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

/// The available stock of a SKU fell below its mark. Published once each time that it falls.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProductStockLow {
    /// The unchanged state of the SKU.
    #[serde(flatten)]
    pub state: ProductState,
    /// How many can still be reserved.
    pub available: i64,
}
