//! What stands in the checkout's form.

use serde_json::{Value, json};

use super::attempts;
use crate::http::form::Form;
use crate::http::visit::Visit;
use crate::secrets;
use crate::shop::address::{self, Typed};
use crate::shop::basket::Basket;
use crate::shop::product::Money;

/// What guests' ids at order-svc begin with.
pub const GUEST: &str = "guest-";

/// The fields that people fill in.
pub const FIELDS: [&str; 8] = ["name", "email", "line1", "line2", "city", "postal_code", "country", "payment_method"];

pub struct Details {
    /// What is ordered: what was in the basket when the form was shown, whatever is in it now.
    pub basket: Basket,
    pub typed: Typed,
    /// As whom the form was shown; nobody, for a guest.
    pub who: String,
    /// What the form said that it costs: order-svc places it at no other price.
    pub seen: Money,
    /// The browser's when the form was shown: see [`attempts`].
    pub secret: String,
}

impl Details {
    /// A new form, filled in with what is known of whoever is signed in.
    pub fn new(basket: &Basket, profile: Option<Value>, visit: &Visit, secret: String) -> Self {
        let profile = profile.unwrap_or_default();
        let session = visit.session.as_ref();
        let known = |name: &str, other: Option<&String>| {
            profile[name].as_str().map(str::to_owned).or_else(|| other.cloned()).unwrap_or_default()
        };
        let mut typed = address::known(&profile["delivery_address"]);
        typed.insert("name", known("name", session.and_then(|session| session.name.as_ref())));
        typed.insert("email", known("email", session.and_then(|session| session.email.as_ref())));
        let seen = Money { amount: 0, currency: String::new() };
        let who = session.map(|session| session.sub.clone()).unwrap_or_default();
        Self { basket: basket.clone(), typed, who, seen, secret }
    }

    /// A form that was sent; none if it is none of ours.
    pub fn of(form: &Form) -> Option<Self> {
        let basket = Basket::parse(form.get("lines")?).filter(|basket| !basket.is_empty())?;
        let secret = form.get("key").filter(|key| secrets::is_like_random(key))?.to_owned();
        let seen = Money { amount: form.get("amount")?.parse().ok()?, currency: form.get("currency")?.to_owned() };
        Some(Self { basket, typed: address::typed(form, &FIELDS), who: form.text("who").to_owned(), seen, secret })
    }

    /// The key under which it is ordered: a form that is sent twice is one order, and so are two forms of the same basket.
    pub fn key(&self) -> String {
        attempts::key(&self.secret, &self.basket)
    }

    /// A guest's id: the same each time that the form is sent, and nobody else's.
    pub fn guest(&self) -> String {
        format!("{GUEST}{}", secrets::derived(&self.key(), "guest"))
    }

    /// What order-svc is sent. It says what is missing.
    pub fn order(&self, customer: &str) -> Value {
        let mut who = address::filled(&self.typed, &["name", "email"]);
        who["id"] = customer.into();
        let mut order = address::filled(&self.typed, &["payment_method"]);
        let lines = self.basket.lines().iter();
        order["lines"] = lines.map(|line| json!({"sku": line.sku, "quantity": line.quantity})).collect();
        order["customer"] = who;
        order["delivery_address"] = address::filled(&self.typed, &address::FIELDS);
        order["currency"] = self.seen.currency.as_str().into();
        order["expected_total"] = json!(self.seen);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789012345678901234567890123456789012";

    fn details(more: &str) -> Option<Details> {
        let form = format!("key={KEY}&amount=2598&currency=EUR&{more}");
        Details::of(&Form::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn a_form_becomes_the_order_that_it_shows() {
        let typed = "name=Ann+Lee&email=ann%40example.com&line1=1+Quay+St&city=Cork&postal_code=T12&country=IE";
        let details = details(&format!("lines=TEA*2&{typed}&payment_method=pm_card_visa")).unwrap();
        let address = json!({"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"});
        let order = json!({
            "customer": {"id": "c-1", "name": "Ann Lee", "email": "ann@example.com"}, "delivery_address": address,
            "currency": "EUR", "lines": [{"sku": "TEA", "quantity": 2}], "payment_method": "pm_card_visa",
            "expected_total": {"amount": 2598, "currency": "EUR"}
        });
        assert_eq!(details.order("c-1"), order);
    }

    #[test]
    fn a_guest_is_the_same_one_when_the_form_is_sent_again() {
        let (one, again) = (details("lines=TEA*1").unwrap(), details("lines=TEA*1").unwrap());
        assert_eq!(one.guest(), again.guest());
        assert!(one.guest().starts_with("guest-") && !one.guest().contains(KEY));
        assert!(one.guest().parse::<shared_events::CustomerId>().is_ok());
    }

    #[test]
    fn a_form_without_what_it_was_made_with_is_none() {
        assert!(details("lines=").is_none() && details("lines=TEA*0").is_none());
        let no_key = Form::parse(b"lines=TEA*1&amount=1&currency=EUR&key=short").unwrap();
        assert!(Details::of(&no_key).is_none());
    }
}
