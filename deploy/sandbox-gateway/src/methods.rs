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
    /// Authorised, but its capture fails.
    CaptureFails,
    /// Authorised, but the first answer to the confirmation is withheld, so that the caller runs into its time-out.
    TimeoutThenSuccess,
}

impl Magic {
    const ALL: [Magic; 5] =
        [Self::Visa, Self::Declined, Self::InsufficientFunds, Self::CaptureFails, Self::TimeoutThenSuccess];

    /// As callers write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visa => "pm_card_visa",
            Self::Declined => "pm_card_chargeDeclined",
            Self::InsufficientFunds => "pm_card_chargeDeclinedInsufficientFunds",
            Self::CaptureFails => "pm_sandbox_capture_fails",
            Self::TimeoutThenSuccess => "pm_sandbox_timeout_then_success",
        }
    }

    /// The method of that name.
    ///
    /// # Errors
    /// There is none, which Stripe says when the method is first named.
    pub fn named(name: &str) -> Result<Self, StripeError> {
        let known = Self::ALL.into_iter().find(|method| method.name() == name);
        known.ok_or_else(|| {
            let message = format!("No such PaymentMethod: '{name}'");
            StripeError::parameter("payment_method", "resource_missing", message)
        })
    }

    /// What its bank answers, unless it agrees.
    pub fn decline(self) -> Option<StripeError> {
        match self {
            Self::Declined => Some(StripeError::declined("generic_decline", "Your card was declined.")),
            Self::InsufficientFunds => {
                Some(StripeError::declined("insufficient_funds", "Your card has insufficient funds."))
            }
            Self::Visa | Self::CaptureFails | Self::TimeoutThenSuccess => None,
        }
    }
}
