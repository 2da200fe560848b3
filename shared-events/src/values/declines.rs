//! What the codes of declined payments mean, and which of them a customer may see.

/// The customer did not authenticate with their bank in time. This is our own code; no gateway sends it.
pub const AUTHENTICATION_TIMEOUT: &str = "authentication_timeout";
/// The gateway knows no such payment method. That is a fault of the shop's checkout and not of the customer's card.
/// This is our own code.
pub const PAYMENT_METHOD_UNKNOWN: &str = "payment_method_unknown";
/// The gateway refuses the request itself. That is a fault of ours or of the gateway's settings. This is our own code.
pub const PAYMENT_REQUEST_INVALID: &str = "payment_request_invalid";
/// What customers see of a decline whose code they may not see, or of which nothing more is known.
pub const GENERIC_DECLINE: &str = "generic_decline";

/// The codes that a customer may see, because they say what the customer can do:
/// <https://docs.stripe.com/declines/codes> and, for the customer's authentication,
/// <https://docs.stripe.com/error-codes>. All others, including unknown ones, are shown as [`GENERIC_DECLINE`]. The
/// banks' rules forbid showing `fraudulent`, `lost_card`, `stolen_card` and `merchant_blacklist`, and `pickup_card`
/// or `restricted_card` would reveal the same.
const FOR_CUSTOMERS: [&str; 23] = [
    AUTHENTICATION_TIMEOUT,
    PAYMENT_METHOD_UNKNOWN,
    PAYMENT_REQUEST_INVALID,
    "authentication_required",
    "payment_intent_authentication_failure",
    "card_not_supported",
    "card_velocity_exceeded",
    "currency_not_supported",
    "expired_card",
    "incorrect_address",
    "incorrect_cvc",
    "incorrect_number",
    "incorrect_zip",
    "insufficient_funds",
    "invalid_cvc",
    "invalid_expiry_month",
    "invalid_expiry_year",
    "invalid_number",
    "issuer_not_available",
    "processing_error",
    "reenter_transaction",
    "try_again_later",
    "withdrawal_count_limit_exceeded",
];

/// The code in the form that a customer may see.
pub fn decline_for_customer(code: &str) -> &str {
    if FOR_CUSTOMERS.contains(&code) { code } else { GENERIC_DECLINE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_banks_forbid_to_tell_and_what_nobody_knows_is_a_decline_and_no_more() {
        let forbidden =
            ["fraudulent", "lost_card", "stolen_card", "merchant_blacklist", "pickup_card", "restricted_card"];
        for code in forbidden.into_iter().chain(["card_declined", "do_not_honor", "never_heard_of", ""]) {
            assert_eq!(decline_for_customer(code), GENERIC_DECLINE, "{code}");
        }
        assert_eq!(decline_for_customer("insufficient_funds"), "insufficient_funds");
    }
}
