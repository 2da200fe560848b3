use serde::Deserialize;
use shared_events::{CustomerChanged, Language, MessagePreferences};

/// What is kept of a customer's profile: how they want to be told. Their name and e-mail address are each order's own.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Profile {
    pub phone: Option<String>,
    pub push_token: Option<String>,
    pub language: Language,
    pub messages: MessagePreferences,
}

impl From<&CustomerChanged> for Profile {
    fn from(changed: &CustomerChanged) -> Self {
        Self {
            phone: changed.phone.as_ref().map(|phone| phone.as_str().to_owned()),
            push_token: changed.push_token.as_ref().map(|token| token.as_str().to_owned()),
            language: changed.language,
            messages: changed.messages.clone(),
        }
    }
}
