//! Who looks at an order: whoever is signed in, or whoever has the link of a guest's order.

use std::time::Duration;

use uuid::Uuid;

use super::view::Order;
use crate::http::visit::Visit;

/// The cookie with a guest's token, which the browser sends with the pages of that order alone.
const COOKIE: &str = "console_guest";
const LIFE: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// What tokens of guests begin with.
const PREFIX: &str = "guest.";
const LONGEST: usize = 300;

/// One way to see an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    pub token: Option<String>,
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// Whoever has the link.
    Guest,
    /// Whom the token names.
    SignedIn(String),
    /// Nobody is asked who they are.
    Everybody,
}

impl Viewer {
    /// The ways that whoever asks has, the better first; none if they have to sign in.
    pub fn all(visit: &Visit) -> Vec<Self> {
        let signed_in = visit
            .session
            .as_ref()
            .map(|session| Self { token: Some(session.access_token.clone()), who: Who::SignedIn(session.sub.clone()) });
        let guest = guest(visit).map(|token| Self::of_link(&token));
        let everybody = visit.state.issuer.is_none().then_some(Self { token: None, who: Who::Everybody });
        signed_in.or(everybody).into_iter().chain(guest).collect()
    }

    /// Whoever has a link with this token.
    pub fn of_link(token: &str) -> Self {
        Self { token: Some(token.to_owned()), who: Who::Guest }
    }

    pub fn is_guest(&self) -> bool {
        self.who == Who::Guest
    }

    /// Whether it is their own order. Staff see it, too, and pay for nobody.
    pub fn owns(&self, order: &Order) -> bool {
        match &self.who {
            Who::Guest | Who::Everybody => true,
            Who::SignedIn(sub) => *sub == order.customer.id,
        }
    }
}

/// The token that the browser kept for this order.
fn guest(visit: &Visit) -> Option<String> {
    visit.cookie(COOKIE).filter(|token| is_like_token(token))
}

/// Whether a text could be a guest's token, which services check.
pub fn is_like_token(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.starts_with(PREFIX) && text.len() <= LONGEST && text.bytes().all(is_plain)
}

/// Has the browser keep it for the pages of this order.
pub fn keep(visit: &mut Visit, order: Uuid, token: &str) {
    visit.keep(COOKIE, token, &super::path(order), LIFE);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::examples::order;
    use super::*;

    #[test]
    fn an_order_is_its_customer_s_and_that_of_whoever_has_its_link() {
        let order = order(json!({}));
        let of = |who: Who| Viewer { token: None, who }.owns(&order);
        assert!(of(Who::SignedIn("c-1001".to_owned())) && of(Who::Guest) && of(Who::Everybody));
        assert!(!of(Who::SignedIn("s-2001".to_owned())), "staff see it, and it is not theirs");
    }

    #[test]
    fn nothing_but_a_guest_s_token_goes_into_the_cookie() {
        assert!(is_like_token("guest.019a.0badc0de"));
        for bad in ["eyJhbGciOi.x.y", "guest.a; Path=/", "guest.a\r\nSet-Cookie: x=y", "guest.ä", ""] {
            assert!(!is_like_token(bad), "{bad}");
        }
        assert!(!is_like_token(&format!("guest.{}", "a".repeat(300))));
    }
}
