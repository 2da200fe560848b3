//! How a customer wants to hear from the shop.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::text::checked_text;

/// Declares a text that says how to reach a person. `Debug` hides it, and a refusal doesn't repeat it.
macro_rules! reaches_a_person {
    ($($(#[$doc:meta])* $name:ident, $expected:literal, $ok:expr;)*) => {$(
        checked_text! {
            $(#[$doc])*
            $name, $expected, $ok, |_| "(hidden)"
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )*};
}

reaches_a_person! {
    /// A phone number as E.164 writes it, such as `+491701234567`.
    PhoneNumber, "a phone number of '+', country code and number, 7 to 15 digits in all, such as +491701234567",
        |text| text.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        });
    /// The token by which a push provider reaches a customer's device.
    PushToken, "a push token of 1 to 4096 visible ASCII characters",
        |text| (1..=4096).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
}

crate::named! {
    /// The language of messages to a customer, by its ISO 639-1 code.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum Language: as_str {
        /// English.
        #[default]
        En = "en",
        /// German.
        De = "de",
    }
}

crate::named! {
    /// The way by which a message reaches a customer.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
    pub enum Channel: as_str {
        /// An e-mail.
        Email = "email",
        /// A text message to the customer's phone.
        Sms = "sms",
        /// A push message to the customer's device.
        Push = "push",
    }
}

crate::named! {
    /// What a message to a customer is about.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum MessageKind: as_str {
        /// The order itself: that it was taken, confirmed, cancelled or changed.
        Order = "order",
        /// Its money.
        Payment = "payment",
        /// Its parcels.
        Shipment = "shipment",
    }
}

/// A set of channels: each at most once, in the order of [`Channel::ALL`], whatever the order they were given in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Channel>", into = "Vec<Channel>")]
pub struct Channels(Vec<Channel>);

impl Channels {
    /// The channels.
    pub fn as_slice(&self) -> &[Channel] {
        &self.0
    }
}

impl Default for Channels {
    /// Mail alone, by which every customer can be reached.
    fn default() -> Self {
        Self(vec![Channel::Email])
    }
}

impl TryFrom<Vec<Channel>> for Channels {
    type Error = Invalid;

    fn try_from(mut channels: Vec<Channel>) -> Result<Self, Invalid> {
        channels.sort_unstable();
        match channels.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => {
                Err(Invalid::new(format_args!("{0}, {0}", twice[0].as_str()), "a list that has each channel once"))
            }
            None => Ok(Self(channels)),
        }
    }
}

impl From<Channels> for Vec<Channel> {
    fn from(channels: Channels) -> Vec<Channel> {
        channels.0
    }
}

/// Which messages a customer gets by which channels. Whatever isn't said goes by mail; a kind without a channel isn't
/// sent, but for what is about the order: nobody is left without a confirmation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawPreferences")]
#[cfg_attr(
    feature = "openapi",
    derive(utoipa::ToSchema),
    schema(description = "Which messages go by which channels. A kind with no channel isn't sent.")
)]
pub struct MessagePreferences {
    order: Channels,
    payment: Channels,
    shipment: Channels,
}

#[derive(Deserialize)]
struct RawPreferences {
    #[serde(default)]
    order: Channels,
    #[serde(default)]
    payment: Channels,
    #[serde(default)]
    shipment: Channels,
}

impl TryFrom<RawPreferences> for MessagePreferences {
    type Error = Invalid;

    fn try_from(raw: RawPreferences) -> Result<Self, Invalid> {
        Self::new(raw.order, raw.payment, raw.shipment)
    }
}

impl MessagePreferences {
    /// The channels for what is about the order, its money and its parcels.
    ///
    /// # Errors
    /// Fails if `order` has no channel.
    pub fn new(order: Channels, payment: Channels, shipment: Channels) -> Result<Self, Invalid> {
        if order.0.is_empty() {
            return Err(Invalid::new("no channel", "at least one channel for messages about the order"));
        }
        Ok(Self { order, payment, shipment })
    }

    /// The channels for messages of this kind.
    pub fn of(&self, kind: MessageKind) -> &[Channel] {
        match kind {
            MessageKind::Order => self.order.as_slice(),
            MessageKind::Payment => self.payment.as_slice(),
            MessageKind::Shipment => self.shipment.as_slice(),
        }
    }

    /// Whether any kind of message goes by this channel.
    pub fn uses(&self, channel: Channel) -> bool {
        MessageKind::ALL.into_iter().any(|kind| self.of(kind).contains(&channel))
    }
}
