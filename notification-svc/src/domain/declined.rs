//! Why a payment was declined, in words for the customer. shared-events decides what they may be told at all.

use shared_events::{AUTHENTICATION_TIMEOUT, PAYMENT_METHOD_UNKNOWN, PAYMENT_REQUEST_INVALID, decline_for_customer};

/// The sentence for a code of the gateway; none where the customer is told no more than that it was declined.
pub fn in_words(code: &str) -> Option<&'static str> {
    Some(match decline_for_customer(code) {
        AUTHENTICATION_TIMEOUT => "your bank asked you to confirm the payment, and that was not done in time",
        "authentication_required" | "payment_intent_authentication_failure" => {
            "your bank could not make sure that it was you who paid"
        }
        PAYMENT_METHOD_UNKNOWN | PAYMENT_REQUEST_INVALID => {
            "something went wrong on our side when we asked for the payment; your card was not declined"
        }
        "insufficient_funds" => "there was not enough money on your card or account",
        "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => "your card's limit is reached",
        "expired_card" | "invalid_expiry_month" | "invalid_expiry_year" => {
            "your card has expired, or its date was not the right one"
        }
        "incorrect_number" | "invalid_number" => "your card's number was not the right one",
        "incorrect_cvc" | "invalid_cvc" => "your card's security code was not the right one",
        "incorrect_address" | "incorrect_zip" => "the billing address was not the one that your bank knows",
        "card_not_supported" => "your card can't be used for this kind of payment",
        "currency_not_supported" => "your card can't be used in this currency",
        "issuer_not_available" | "processing_error" | "reenter_transaction" | "try_again_later" => {
            "your bank could not be reached or could not answer; your card may well be fine"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stolen_card_is_told_like_any_other_decline() {
        for code in ["stolen_card", "lost_card", "fraudulent", "pickup_card", "card_declined", "never_heard_of"] {
            assert_eq!(in_words(code), None, "{code}");
        }
        assert!(in_words("insufficient_funds").is_some());
    }
}
