//! What a customer has to do before their bank agrees, as with 3-D Secure.

use std::fmt;

/// What the gateway's own SDK finishes a payment with in its customer's browser. It is for that customer alone, so it is
/// shown by no `Debug`, and stands in no event.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientSecret(String);

impl ClientSecret {
    /// The secret itself, for its customer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for ClientSecret {
    fn from(secret: String) -> Self {
        Self(secret)
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// How a customer goes on with their payment.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct NextAction {
    pub client_secret: Option<ClientSecret>,
    /// The address of their bank's page, if the gateway gives one. It may hold the client secret.
    pub url: Option<String>,
}

impl NextAction {
    /// The address, if everybody who hears events may know it.
    pub fn public_url(&self) -> Option<&str> {
        let secret = self.client_secret.as_ref().map(ClientSecret::expose);
        let holds_secret = |url: &&str| url.contains("client_secret=") || secret.is_some_and(|it| url.contains(it));
        self.url.as_deref().filter(|url| !holds_secret(url))
    }
}

impl fmt::Debug for NextAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextAction").field("url", &self.public_url()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads_to(url: &str) -> NextAction {
        NextAction { client_secret: Some("pi_1_secret_2".to_owned().into()), url: Some(url.to_owned()) }
    }

    #[test]
    fn an_address_that_holds_the_secret_is_nobodys_but_the_customers() {
        let public = "https://bank.example.com/3ds?id=1";
        assert_eq!(leads_to(public).public_url(), Some(public));
        for private in [
            "https://hooks.stripe.com/3d_secure_2/hosted?payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2",
            "https://bank.example.com/pi_1_secret_2",
            "https://hooks.stripe.com/redirect?client_secret=src_client_secret_3",
        ] {
            assert_eq!(leads_to(private).public_url(), None, "{private}");
            assert!(!format!("{:?}", leads_to(private)).contains("_secret_"), "{private}");
        }
    }
}
