//! The events, one enum a topic. The meaning of a type never changes, and its name is never reused. Only optional
//! fields are added; a breaking change is a new version of the type.

mod customers;
mod orders;
mod others;
mod payments;
mod stock;

pub use customers::*;
pub use orders::*;
pub use others::*;
pub use payments::*;
pub use stock::*;

use uuid::Uuid;

use crate::Topic;

/// Declares the events of one topic (variant, content and type) and how they are encoded and decoded.
macro_rules! topic_events {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident($body:ty) = $type_name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each variant's content says what it is")]
        #[allow(clippy::large_enum_variant, reason = "an event is built once and read by reference")]
        pub enum $name { $($(#[$vdoc])* $variant($body),)* }

        impl $name {
            /// The types of this topic, as in `ce_type`.
            pub const TYPES: &'static [&'static str] = &[$($type_name,)*];

            /// The type of this event, as in `ce_type`.
            pub const fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $type_name,)* }
            }

            pub(crate) fn value(&self) -> serde_json::Result<Vec<u8>> {
                match self { $(Self::$variant(body) => serde_json::to_vec(body),)* }
            }

            pub(crate) fn read(type_name: &str, value: &[u8]) -> Option<serde_json::Result<Self>> {
                match type_name {
                    $($type_name => Some(serde_json::from_slice(value).map(Self::$variant)),)*
                    _ => None,
                }
            }
        }

        $(impl From<$body> for $crate::Event {
            fn from(body: $body) -> Self {
                $name::$variant(body).into()
            }
        })*
    };
}
pub(crate) use topic_events;

/// Any event that a service of the shop publishes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "a variant a topic")]
#[allow(clippy::large_enum_variant, reason = "an event is built once and read by reference")]
pub enum Event {
    Order(OrderEvent),
    Stock(StockEvent),
    Payment(PaymentEvent),
    Shipment(ShipmentEvent),
    Notification(NotificationEvent),
    Product(ProductEvent),
    Customer(CustomerEvent),
}

/// Why a message could not be read as an event.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A type that this build doesn't know, from a newer producer. It must be skipped, not parked.
    #[error("the event type {0:?} is not known")]
    UnknownType(String),
    /// A known type in a major version that this build can't read.
    #[error("the event type {type_name:?} has a version that is not known; known is {known}")]
    UnknownVersion {
        /// The value of `ce_type`.
        type_name: String,
        /// The version that can be read.
        known: &'static str,
    },
    /// The value doesn't match its type. The message leaves out quoted text, which may be a name or an address:
    /// messages end up in logs.
    #[error("the value is not a {type_name}: {}", unquoted(source))]
    Malformed {
        /// The value of `ce_type`.
        type_name: String,
        /// The JSON reader's error: field, expectation and position.
        source: serde_json::Error,
    },
}

impl DecodeError {
    /// Whether the event is to be skipped: a newer producer's, of a type that this build has never heard of.
    pub const fn is_unknown_type(&self) -> bool {
        matches!(self, Self::UnknownType(_))
    }
}

/// Removes quoted text from a message: `invalid type: string "Ann Lee", expected ...` loses the name.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string().replace("\\\"", "");
    text.split('"').enumerate().map(|(i, part)| if i % 2 == 0 { part } else { "\"...\"" }).collect()
}

macro_rules! each_topic {
    ($event:expr, $inner:ident => $body:expr) => {
        match $event {
            Event::Order($inner) => $body,
            Event::Stock($inner) => $body,
            Event::Payment($inner) => $body,
            Event::Shipment($inner) => $body,
            Event::Notification($inner) => $body,
            Event::Product($inner) => $body,
            Event::Customer($inner) => $body,
        }
    };
}

macro_rules! into_event {
    ($($inner:ident => $variant:ident,)*) => {$(
        impl From<$inner> for Event {
            fn from(inner: $inner) -> Event {
                Event::$variant(inner)
            }
        }
    )*};
}
into_event! {
    OrderEvent => Order,
    StockEvent => Stock,
    PaymentEvent => Payment,
    ShipmentEvent => Shipment,
    NotificationEvent => Notification,
    ProductEvent => Product,
    CustomerEvent => Customer,
}

impl Event {
    /// Every type that this build can encode and decode.
    pub fn types() -> impl Iterator<Item = &'static str> {
        [OrderEvent::TYPES, StockEvent::TYPES, PaymentEvent::TYPES, ShipmentEvent::TYPES]
            .into_iter()
            .chain([NotificationEvent::TYPES, ProductEvent::TYPES, CustomerEvent::TYPES])
            .flatten()
            .copied()
    }

    /// The type, as in `ce_type`.
    pub fn type_name(&self) -> &'static str {
        each_topic!(self, inner => inner.type_name())
    }

    /// The topic that it is published on.
    pub const fn topic(&self) -> Topic {
        match self {
            Event::Order(_) => Topic::Orders,
            Event::Stock(_) => Topic::Stock,
            Event::Payment(_) => Topic::Payments,
            Event::Shipment(_) => Topic::Shipments,
            Event::Notification(_) => Topic::Notifications,
            Event::Product(_) => Topic::Products,
            Event::Customer(_) => Topic::Customers,
        }
    }

    /// The record's key: the order's id, the SKU, or the customer's id.
    pub fn key(&self) -> String {
        match self {
            Event::Order(e) => e.order_id().to_string(),
            Event::Stock(e) => e.order_id().to_string(),
            Event::Payment(e) => e.order_id().to_string(),
            Event::Shipment(e) => e.order_id().to_string(),
            Event::Notification(e) => e.order_id().to_string(),
            Event::Product(e) => e.sku().to_string(),
            Event::Customer(e) => e.customer_id().to_string(),
        }
    }

    /// The id of the aggregate that it is about: order, payment, shipment, notification, SKU or customer.
    pub fn subject(&self) -> String {
        match self {
            Event::Order(_) | Event::Stock(_) | Event::Product(_) | Event::Customer(_) => self.key(),
            Event::Payment(e) => e.payment_id().to_string(),
            Event::Shipment(e) => e.shipment_id().to_string(),
            Event::Notification(e) => e.notification_id().to_string(),
        }
    }

    /// The order that it belongs to, which is its correlation id; none for products and customers.
    pub fn correlation(&self) -> Option<Uuid> {
        match self {
            Event::Order(e) => Some(e.order_id().0),
            Event::Stock(e) => Some(e.order_id().0),
            Event::Payment(e) => Some(e.order_id().0),
            Event::Shipment(e) => Some(e.order_id().0),
            Event::Notification(e) => Some(e.order_id().0),
            Event::Product(_) | Event::Customer(_) => None,
        }
    }

    /// The record's value, as JSON.
    ///
    /// # Errors
    /// Fails if the event can't be written as JSON, which doesn't happen in practice. It is an error so that nothing
    /// panics.
    pub fn value(&self) -> serde_json::Result<Vec<u8>> {
        each_topic!(self, inner => inner.value())
    }

    /// Decodes the value of a record whose `ce_type` is `type_name`. Unknown fields are accepted, since optional
    /// fields may have been added.
    ///
    /// # Errors
    /// Fails if the type or its version is unknown, or if the value doesn't match the type.
    pub fn decode(type_name: &str, value: &[u8]) -> Result<Event, DecodeError> {
        let read = OrderEvent::read(type_name, value)
            .map(|r| r.map(Event::Order))
            .or_else(|| StockEvent::read(type_name, value).map(|r| r.map(Event::Stock)))
            .or_else(|| PaymentEvent::read(type_name, value).map(|r| r.map(Event::Payment)))
            .or_else(|| ShipmentEvent::read(type_name, value).map(|r| r.map(Event::Shipment)))
            .or_else(|| NotificationEvent::read(type_name, value).map(|r| r.map(Event::Notification)))
            .or_else(|| ProductEvent::read(type_name, value).map(|r| r.map(Event::Product)))
            .or_else(|| CustomerEvent::read(type_name, value).map(|r| r.map(Event::Customer)));
        match read {
            Some(Ok(event)) => Ok(event),
            Some(Err(source)) => Err(DecodeError::Malformed { type_name: type_name.to_owned(), source }),
            None => Err(Self::unknown(type_name)),
        }
    }

    fn unknown(type_name: &str) -> DecodeError {
        let stem = |name: &str| name.rsplit_once(".v").map(|(stem, _)| stem.to_owned());
        match stem(type_name).and_then(|wanted| Self::types().find(|known| stem(known).as_ref() == Some(&wanted))) {
            Some(known) => DecodeError::UnknownVersion { type_name: type_name.to_owned(), known },
            None => DecodeError::UnknownType(type_name.to_owned()),
        }
    }
}
