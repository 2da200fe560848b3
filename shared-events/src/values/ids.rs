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
            /// A new id, UUID v7: sorts by the time it was made.
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
    /// Names an order; the key of every topic but `products.v1`.
    OrderId,
    /// Names the payment of an order.
    PaymentId,
    /// Names one refund; also its key at the gateway.
    RefundId,
    /// Names a parcel.
    ShipmentId,
    /// Names one message to a customer; also its Message-ID.
    NotificationId,
    /// Names an event (`ce_id`); what an inbox remembers.
    EventId,
}

impl RefundId {
    /// The refund that an event causes: the same however often the event is heard, and known to whoever hears it.
    pub fn because_of(event: EventId) -> Self {
        Self(Uuid::new_v5(&event.0, b"refund"))
    }

    /// Whether an event caused it, and not a person.
    pub fn is_caused(self) -> bool {
        self.0.get_version_num() == 5
    }
}
