//! Which declines may pass: <https://docs.stripe.com/declines/codes>.

/// What the bank may answer differently in a minute: it wasn't reached, was busy, or money came in meanwhile. All other
/// codes are final, unknown ones too: asking again for a stolen card helps nobody.
const MAY_PASS: [&str; 6] = [
    "approve_with_id",
    "insufficient_funds",
    "issuer_not_available",
    "processing_error",
    "reenter_transaction",
    "try_again_later",
];

/// Whether a decline with this code is worth another try.
pub fn may_pass(code: &str) -> bool {
    MAY_PASS.contains(&code)
}

/// What an intent says after its customer was asked to act and failed: <https://docs.stripe.com/error-codes>.
const ACTION_FAILED: &str = "payment_intent_authentication_failure";

/// Whether this decline is the customer's, who failed 3-D Secure. Its intent is still open: they could try again.
pub fn action_failed(code: &str) -> bool {
    code == ACTION_FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_that_was_not_reached_is_asked_again_and_a_stolen_card_is_not() {
        for (code, passes) in [
            ("issuer_not_available", true),
            ("insufficient_funds", true),
            ("card_declined", false),
            ("stolen_card", false),
            ("never_heard_of", false),
        ] {
            assert_eq!(may_pass(code), passes, "{code}");
        }
    }
}
