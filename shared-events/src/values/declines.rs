//! What the codes of declined payments mean, and which of them a customer may be told.

/// The customer was to authenticate with their bank, and did not in time. Our own code: no gateway says it.
pub const AUTHENTICATION_TIMEOUT: &str = "authentication_timeout";
/// The gateway knows no such payment method: a mistake of the shop's own checkout, and not the customer's card. Our own code.
pub const PAYMENT_METHOD_UNKNOWN: &str = "payment_method_unknown";
/// The gateway refuses the request as such: a mistake of ours or of the gateway's settings. Our own code.
pub const PAYMENT_REQUEST_INVALID: &str = "payment_request_invalid";
/// What customers are told of a decline that they may not be told of, or of which nobody knows more.
pub const GENERIC_DECLINE: &str = "generic_decline";

/// The codes that a customer may be told, as far as they say what the customer can do: <https://docs.stripe.com/declines/codes>
/// and, for the customer's authentication, <https://docs.stripe.com/error-codes>. All others are told as [`GENERIC_DECLINE`],
/// unknown ones too: of `fraudulent`, `lost_card`, `stolen_card` and `merchant_blacklist` the banks' rules forbid it, and
/// `pickup_card` or `restricted_card` would say the same.
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

/// The code as a customer may be told it.
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
