//! A PaymentIntent's life, without IO: <https://docs.stripe.com/payments/paymentintents/lifecycle>.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde_json::{Value, json};

use crate::{StripeError, methods::Magic, schema};

/// A PaymentIntent. Amounts in minor units; the currency in small letters, as Stripe writes it.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = schema::payment_intents, treat_none_as_null = true)]
pub struct Intent {
    /// `pi_...`
    pub id: String,
    /// What is asked for.
    pub amount: i64,
    /// ISO 4217, small letters.
    pub currency: String,
    /// A magic method's name.
    pub payment_method: Option<String>,
    /// What the caller attached; `order_id` goes into the journal.
    pub metadata: Value,
    /// As Stripe names it.
    pub status: String,
    /// What was captured.
    pub received: i64,
    /// How much of that went back.
    pub refunded: i64,
    /// The error object of the last decline.
    pub last_payment_error: Option<Value>,
    /// The key of the last confirmation; what the customer does then is entered under it.
    pub confirmed_by: Option<String>,
    /// How often it was confirmed.
    pub attempts: i32,
    /// Whether the bank ever reserved the money.
    pub was_authorised: bool,
    pub created_at: DateTime<Utc>,
}

/// How a confirmation is to be taken.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    /// Its idempotency key.
    pub key: Option<String>,
    /// Whatever the method: the bank says no.
    pub decline: Option<StripeError>,
    /// Whatever the method: the customer has to act.
    pub action: bool,
    /// Should the customer have to act, decline instead.
    pub or_error: bool,
}

/// What a step did to money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// `authorise`, `capture`, `void` or `refund`.
    pub operation: &'static str,
    /// Minor units.
    pub amount: i64,
}

impl Intent {
    /// Sets the intent to `processing` if it is to be confirmed with a slow method; false otherwise.
    pub fn asks_slowly(&mut self, method: Option<&str>) -> bool {
        let waits = match self.status.as_str() {
            "requires_confirmation" | "processing" => true,
            "requires_payment_method" => method.is_some(),
            _ => false,
        };
        let slow = waits && method.or(self.payment_method.as_deref()) == Some(Magic::Slow.name());
        if slow {
            self.status = "processing".to_owned();
            self.payment_method = Some(Magic::Slow.name().to_owned());
        }
        slow
    }

    /// Asks the method's bank for the money. No effect yet if the customer has to act first. The intent keeps a
    /// decline.
    pub fn confirm(&mut self, asks: &Asks) -> Result<Option<Effect>, StripeError> {
        let (Some(method), "requires_confirmation" | "processing") =
            (self.payment_method.as_deref(), self.status.as_str())
        else {
            return Err(self.unexpected("confirm"));
        };
        let method = Magic::named(method)?;
        self.confirmed_by = asks.key.clone();
        self.attempts += 1;
        if let Some(decline) = asks.decline.clone().or_else(|| method.decline(self.attempts)) {
            return Err(self.declined(decline));
        }
        if method == Magic::AuthenticationRequired || asks.action {
            if asks.or_error {
                let message = "This card needs authentication, which was not to be asked for.";
                return Err(self.declined(StripeError::declined("authentication_required", message)));
            }
            self.status = "requires_action".to_owned();
            return Ok(None);
        }
        Ok(Some(self.authorised()))
    }

    fn authorised(&mut self) -> Effect {
        self.status = "requires_capture".to_owned();
        self.was_authorised = true;
        self.last_payment_error = None;
        Effect { operation: "authorise", amount: self.amount }
    }

    fn declined(&mut self, decline: StripeError) -> StripeError {
        self.status = "requires_payment_method".to_owned();
        self.payment_method = None;
        self.last_payment_error = Some(decline.object());
        decline.with_intent(self.object())
    }

    /// The customer passes 3-D Secure, or fails it, which has no effect on money.
    pub fn authenticate(&mut self, passed: bool) -> Result<Option<Effect>, StripeError> {
        if self.status != "requires_action" {
            return Err(self.unexpected("authenticate"));
        }
        if passed {
            return Ok(Some(self.authorised()));
        }
        let message = "The customer could not be authenticated.";
        // The caller asked for this, so it is no error of theirs.
        let _kept_in_the_intent = self.declined(StripeError::card("payment_intent_authentication_failure", message));
        Ok(None)
    }

    /// Takes what was authorised, all of it; another amount is refused.
    pub fn capture(&mut self, amount: Option<i64>, fails: bool) -> Result<Effect, StripeError> {
        if self.status != "requires_capture" {
            return Err(self.unexpected("capture"));
        }
        if amount.is_some_and(|amount| amount != self.amount) {
            let message = "The sandbox gateway captures the whole amount only.";
            return Err(StripeError::parameter("amount_to_capture", "parameter_invalid", message));
        }
        if fails || self.method() == Some(Magic::CaptureFails) {
            let message = "The authorisation has expired and can't be captured.";
            return Err(StripeError::state("charge_expired_for_capture", message));
        }
        self.status = "succeeded".to_owned();
        self.received = self.amount;
        Ok(Effect { operation: "capture", amount: self.amount })
    }

    /// Ends the intent and lets go of what was authorised, if anything was. Refused once it has been captured or
    /// cancelled, and while its bank is being asked.
    pub fn cancel(&mut self) -> Result<Option<Effect>, StripeError> {
        let held = self.status == "requires_capture";
        if matches!(self.status.as_str(), "succeeded" | "canceled" | "processing") {
            return Err(self.unexpected("cancel"));
        }
        self.status = "canceled".to_owned();
        Ok(held.then_some(Effect { operation: "void", amount: self.amount }))
    }

    /// Gives back `amount` of what was captured, or all that remains; never more than that.
    pub fn refund(&mut self, amount: Option<i64>) -> Result<Effect, StripeError> {
        if self.status != "succeeded" {
            return Err(self.unexpected("refund"));
        }
        let remaining = self.received - self.refunded;
        let amount = amount.unwrap_or(remaining);
        if remaining == 0 {
            return Err(StripeError::state("charge_already_refunded", "The charge has already been refunded."));
        }
        if amount > remaining {
            let message = format!("Refund amount ({amount}) is greater than unrefunded amount ({remaining}).");
            return Err(StripeError::parameter("amount", "amount_too_large", message));
        }
        self.refunded += amount;
        Ok(Effect { operation: "refund", amount })
    }

    /// The customer's bank gives a refund back: it may be refunded again.
    pub fn refund_failed(&mut self, amount: i64) -> Effect {
        self.refunded -= amount;
        Effect { operation: "refund_reversal", amount }
    }

    fn unexpected(&self, wanted: &str) -> StripeError {
        let message = format!("You cannot {wanted} this PaymentIntent because it has a status of {}.", self.status);
        StripeError::state("payment_intent_unexpected_state", message)
    }

    fn next_action(&self) -> Option<Value> {
        let url = format!("/sandbox/payment_intents/{}/authenticate", self.id);
        let asked = self.status == "requires_action";
        asked.then(|| json!({"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": null}}))
    }

    /// The method that it is paid with, as things stand.
    pub fn method(&self) -> Option<Magic> {
        Magic::named(self.payment_method.as_deref()?).ok()
    }

    /// The last charge, once there was one: what became of the last confirmation.
    fn charge(&self) -> Option<Value> {
        let declined = self.last_payment_error.is_some();
        (self.was_authorised || declined).then(|| {
            let let_go = self.was_authorised && self.status == "canceled";
            json!({
                "id": format!("ch_{}_{}", self.id.trim_start_matches("pi_"), self.attempts),
                "object": "charge",
                "amount": self.amount,
                "amount_captured": self.received,
                "amount_refunded": if let_go { self.amount } else { self.refunded },
                "captured": self.received > 0,
                "paid": self.was_authorised,
                "payment_intent": self.id,
                "refunded": let_go || (self.received > 0 && self.refunded == self.received),
                "status": if self.was_authorised { "succeeded" } else { "failed" },
            })
        })
    }

    /// The intent as Stripe shows it to who wants its last charge whole.
    pub fn expanded(&self) -> Value {
        let mut object = self.object();
        object["latest_charge"] = json!(self.charge());
        object
    }

    /// The intent as Stripe shows it.
    pub fn object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": if self.status == "requires_capture" { self.amount } else { 0 },
            "amount_received": self.received,
            "capture_method": "manual",
            "created": self.created_at.timestamp(),
            "currency": self.currency,
            "last_payment_error": self.last_payment_error,
            "latest_charge": self.charge().map(|charge| charge["id"].clone()),
            "livemode": false,
            "metadata": self.metadata,
            "next_action": self.next_action(),
            "payment_method": self.payment_method,
            "status": self.status,
        })
    }
}

#[cfg(test)]
mod tests;
