use std::fmt;

use serde::{Deserialize, Serialize};
use shared_events::{
    Address, Channel, CountryCode, CustomerChanged, CustomerId, EmailAddress, Language, LineText, MessageKind,
    MessagePreferences, PhoneNumber, PushToken,
};

/// What a customer's orders and messages go by. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub name: LineText,
    pub email: EmailAddress,
    pub phone: Option<PhoneNumber>,
    pub push_token: Option<PushToken>,
    /// Where an order goes that names no address.
    pub delivery_address: Option<Address>,
    pub language: Language,
    pub messages: MessagePreferences,
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(hidden)")
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileRefused {
    #[error("{:?} is not the code of a country, such as IE", .0.as_str())]
    NoCountry(CountryCode),
    #[error("is missing: messages.{} has \"sms\", which needs a number such as +353861234567", .0.as_str())]
    NoPhone(MessageKind),
    #[error("is missing: messages.{} has \"push\", which needs the token of a device", .0.as_str())]
    NoPushToken(MessageKind),
}

impl ProfileRefused {
    /// The field of the profile that is wrong.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::NoCountry(_) => "delivery_address.country",
            Self::NoPhone(_) => "phone",
            Self::NoPushToken(_) => "push_token",
        }
    }
}

impl Profile {
    /// Checks that parcels and messages can go where it says, and returns all problems.
    pub fn checked(self) -> Result<Self, Vec<ProfileRefused>> {
        let goes_by = |channel| MessageKind::ALL.into_iter().find(|kind| self.messages.of(*kind).contains(&channel));
        let country = self.delivery_address.as_ref().map(|address| &address.country);
        let refused: Vec<_> = [
            country.filter(|country| !country.is_a_country()).cloned().map(ProfileRefused::NoCountry),
            goes_by(Channel::Sms).filter(|_| self.phone.is_none()).map(ProfileRefused::NoPhone),
            goes_by(Channel::Push).filter(|_| self.push_token.is_none()).map(ProfileRefused::NoPushToken),
        ]
        .into_iter()
        .flatten()
        .collect();
        if refused.is_empty() { Ok(self) } else { Err(refused) }
    }

    /// The event that tells it.
    pub fn told_of(&self, customer_id: CustomerId) -> CustomerChanged {
        let Self { name, email, phone, push_token, delivery_address, language, messages } = self.clone();
        CustomerChanged { customer_id, name, email, phone, push_token, delivery_address, language, messages }
    }
}
