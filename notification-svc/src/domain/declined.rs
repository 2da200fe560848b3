//! Why a payment was declined, in words for the customer. shared-events decides what they may be told at all.

use shared_events::{
    AUTHENTICATION_TIMEOUT, Language, PAYMENT_METHOD_UNKNOWN, PAYMENT_REQUEST_INVALID, decline_for_customer,
};

/// The sentence for a code of the gateway; none where the customer is told no more than that it was declined.
pub fn in_words(code: &str, language: Language) -> Option<&'static str> {
    let (english, german) = match decline_for_customer(code) {
        AUTHENTICATION_TIMEOUT => (
            "your bank asked you to confirm the payment, and that was not done in time",
            "Ihre Bank hat Sie gebeten, die Zahlung zu bestätigen, und das ist nicht rechtzeitig geschehen",
        ),
        "authentication_required" | "payment_intent_authentication_failure" => (
            "your bank could not make sure that it was you who paid",
            "Ihre Bank konnte nicht sicher sein, dass Sie es waren, der bezahlt hat",
        ),
        PAYMENT_METHOD_UNKNOWN | PAYMENT_REQUEST_INVALID => (
            "something went wrong on our side when we asked for the payment; your card was not declined",
            "bei uns ging etwas schief, als wir um die Zahlung baten; Ihre Karte wurde nicht abgelehnt",
        ),
        "insufficient_funds" => (
            "there was not enough money on your card or account",
            "auf Ihrer Karte oder Ihrem Konto war nicht genug Geld",
        ),
        "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => {
            ("your card's limit is reached", "das Limit Ihrer Karte ist erreicht")
        }
        "expired_card" | "invalid_expiry_month" | "invalid_expiry_year" => (
            "your card has expired, or its date was not the right one",
            "Ihre Karte ist abgelaufen, oder ihr Datum war nicht das richtige",
        ),
        "incorrect_number" | "invalid_number" => {
            ("your card's number was not the right one", "die Nummer Ihrer Karte war nicht die richtige")
        }
        "incorrect_cvc" | "invalid_cvc" => {
            ("your card's security code was not the right one", "die Prüfziffer Ihrer Karte war nicht die richtige")
        }
        "incorrect_address" | "incorrect_zip" => (
            "the billing address was not the one that your bank knows",
            "die Rechnungsadresse war nicht die, die Ihre Bank kennt",
        ),
        "card_not_supported" => (
            "your card can't be used for this kind of payment",
            "Ihre Karte kann für diese Art von Zahlung nicht verwendet werden",
        ),
        "currency_not_supported" => {
            ("your card can't be used in this currency", "Ihre Karte kann in dieser Währung nicht verwendet werden")
        }
        "issuer_not_available" | "processing_error" | "reenter_transaction" | "try_again_later" => (
            "your bank could not be reached or could not answer; your card may well be fine",
            "Ihre Bank war nicht zu erreichen oder konnte nicht antworten; mit Ihrer Karte kann alles in Ordnung sein",
        ),
        _ => return None,
    };
    Some(match language {
        Language::En => english,
        Language::De => german,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stolen_card_is_told_like_any_other_decline() {
        for code in ["stolen_card", "lost_card", "fraudulent", "pickup_card", "card_declined", "never_heard_of"] {
            assert_eq!(in_words(code, Language::En), None, "{code}");
        }
        assert!(in_words("insufficient_funds", Language::De).is_some_and(|words| words.contains("nicht genug Geld")));
    }
}
