//! Magic payment methods: what happens is in their name. Stripe's own test names where Stripe has one
//! (<https://docs.stripe.com/testing>), so that the same order works on the sandbox and in Stripe's test mode.

use crate::StripeError;

/// A payment method with a fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Magic {
    /// Authorised and captured.
    Visa,
    /// Declined for good.
    Declined,
    /// Declined: not enough money there.
    InsufficientFunds,
    /// Declined the first time, because the bank isn't there; agreed to after that.
    DeclinedOnce,
    /// The customer has to act first, as with 3-D Secure.
    AuthenticationRequired,
    /// Authorised, but its capture fails.
    CaptureFails,
    /// Authorised, but the first answer to the confirmation is withheld, so that the caller runs into its time-out.
    TimeoutThenSuccess,
    /// Approved, but its bank takes its time, so that the order may have ended by then.
    Slow,
    /// Approved, but the gateway fails at half of what is asked, before or after it has done it.
    Flaky,
}

impl Magic {
    const ALL: [Magic; 9] = [
        Self::Visa,
        Self::Declined,
        Self::InsufficientFunds,
        Self::DeclinedOnce,
        Self::AuthenticationRequired,
        Self::CaptureFails,
        Self::TimeoutThenSuccess,
        Self::Slow,
        Self::Flaky,
    ];

    /// As callers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visa => "pm_card_visa",
            Self::Declined => "pm_card_chargeDeclined",
            Self::InsufficientFunds => "pm_card_chargeDeclinedInsufficientFunds",
            Self::DeclinedOnce => "pm_sandbox_declined_once",
            Self::AuthenticationRequired => "pm_card_authenticationRequired",
            Self::CaptureFails => "pm_sandbox_capture_fails",
            Self::TimeoutThenSuccess => "pm_sandbox_timeout_then_success",
            Self::Slow => "pm_sandbox_slow",
            Self::Flaky => "pm_sandbox_flaky",
        }
    }

    /// The method of that name. An unknown one is refused, which Stripe does when the method is first named.
    pub fn named(name: &str) -> Result<Self, StripeError> {
        let known = Self::ALL.into_iter().find(|method| method.name() == name);
        known.ok_or_else(|| {
            let message = format!("No such PaymentMethod: '{name}'");
            StripeError::parameter("payment_method", "resource_missing", message)
        })
    }

    /// What its bank answers at the attempt of this number, from 1, unless it agrees.
    pub fn decline(self, attempt: i32) -> Option<StripeError> {
        match self {
            Self::Declined => Some(StripeError::declined("generic_decline", "Your card was declined.")),
            Self::InsufficientFunds => {
                Some(StripeError::declined("insufficient_funds", "Your card has insufficient funds."))
            }
            Self::DeclinedOnce if attempt == 1 => {
                Some(StripeError::declined("issuer_not_available", "The bank could not be reached; try again."))
            }
            _ => None,
        }
    }
}
