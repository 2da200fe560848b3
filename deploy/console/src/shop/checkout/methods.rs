//! The cards of the sandbox, by what becomes of them.

use serde::Serialize;

/// A way to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PaymentChoice {
    /// As the gateway names it.
    pub id: &'static str,
    pub words: &'static str,
}

const fn choice(id: &'static str, words: &'static str) -> PaymentChoice {
    PaymentChoice { id, words }
}

pub const SANDBOX: &[PaymentChoice] = &[
    choice("pm_card_visa", "Card that is accepted"),
    choice("pm_card_authenticationRequired", "Card that asks for approval (3-D Secure)"),
    choice("pm_card_chargeDeclined", "Card that the bank declines"),
    choice("pm_card_chargeDeclinedInsufficientFunds", "Card without enough money on it"),
    choice("pm_sandbox_declined_once", "Card whose bank can't be reached at first"),
    choice("pm_sandbox_slow", "Card whose bank takes its time"),
    choice("pm_sandbox_flaky", "Card whose gateway fails half of the time"),
    choice("pm_sandbox_timeout_then_success", "Card whose first answer gets lost"),
    choice("pm_sandbox_capture_fails", "Card that is accepted, and can't be charged then"),
];

#[cfg(test)]
mod tests {
    use shared_events::PaymentMethod;

    use super::*;

    #[test]
    fn every_choice_is_a_payment_method() {
        assert!(SANDBOX.iter().all(|choice| choice.id.parse::<PaymentMethod>().is_ok()));
    }
}
