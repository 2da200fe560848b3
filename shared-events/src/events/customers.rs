use std::fmt;

use serde::{Deserialize, Serialize};

use super::topic_events;
use crate::{Address, CustomerId, EmailAddress, Language, LineText, MessagePreferences, PhoneNumber, PushToken};

topic_events! {
    /// The whole profile of one customer, published by order-svc on the compacted `customers.v1`.
    CustomerEvent {
        Changed(CustomerChanged) = "customer.changed.v1",
        Forgotten(CustomerForgotten) = "customer.forgotten.v1",
    }
}

impl CustomerEvent {
    /// The customer.
    pub const fn customer_id(&self) -> &CustomerId {
        match self {
            Self::Changed(e) => &e.customer_id,
            Self::Forgotten(e) => &e.customer_id,
        }
    }
}

/// A customer's profile, whole, as it is from now on. A consumer keeps the event with the highest sequence. `Debug`
/// shows only the id.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CustomerChanged {
    /// The customer.
    pub customer_id: CustomerId,
    /// The name for salutations.
    pub name: LineText,
    /// The address for e-mails.
    pub email: EmailAddress,
    /// The number for text messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<PhoneNumber>,
    /// The device for push messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_token: Option<PushToken>,
    /// Where parcels go if an order doesn't say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_address: Option<Address>,
    /// The language of messages.
    #[serde(default)]
    pub language: Language,
    /// Which messages go by which channels.
    #[serde(default)]
    pub messages: MessagePreferences,
}

impl fmt::Debug for CustomerChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerChanged").field("customer_id", &self.customer_id).finish_non_exhaustive()
    }
}

/// A customer is forgotten: whoever keeps the profile drops it. It is the last event of its key, so that compaction
/// takes the person out of the topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CustomerForgotten {
    /// The customer.
    pub customer_id: CustomerId,
}
