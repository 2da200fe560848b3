use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Invalid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id, a UUID v7, which sorts by its creation time.
            #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(text: &str) -> Result<Self, Invalid> {
                Uuid::parse_str(text).map(Self).map_err(|_| Invalid::new(text, "a UUID"))
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )*};
}

ids! {
    /// Identifies an order. It is the key of every topic except `products.v1`.
    OrderId,
    /// Identifies the payment of an order.
    PaymentId,
    /// Identifies a refund. It is also the refund's idempotency key at the gateway.
    RefundId,
    /// Identifies a shipment.
    ShipmentId,
    /// Identifies a notification. It is also the e-mail's Message-ID.
    NotificationId,
    /// Identifies an event (`ce_id`). The inbox remembers it.
    EventId,
}

impl RefundId {
    /// The id of the refund that an event causes. It is the same however often the event is delivered, and every
    /// consumer of the event can compute it.
    pub fn caused_by(event: EventId) -> Self {
        Self(Uuid::new_v5(&event.0, b"refund"))
    }

    /// Whether an event caused the refund, rather than a person.
    pub fn is_caused(self) -> bool {
        self.0.get_version_num() == 5
    }
}
