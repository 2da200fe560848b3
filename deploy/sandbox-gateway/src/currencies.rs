//! Stripe's rules on currencies and amounts, in its own units: <https://docs.stripe.com/currencies>. Written down apart from
//! the services' table, so that a mistake in either is seen.

use crate::StripeError;

/// What a card can be charged in.
const SUPPORTED: &str = "\
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd bwp byn bzd cad cdf chf clp \
    cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr isk \
    jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn \
    nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std \
    szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw";

/// What every amount of a currency is a multiple of.
fn step(currency: &str) -> i64 {
    match currency {
        "isk" | "ugx" => 100,
        "bhd" | "jod" | "kwd" | "omr" | "tnd" => 10,
        _ => 1,
    }
}

fn least(currency: &str) -> i64 {
    match currency {
        "gbp" => 30,
        "usd" | "ars" | "aud" | "brl" | "cad" | "chf" | "cop" | "eur" | "idr" | "ils" | "inr" | "jpy" | "krw"
        | "nzd" | "php" | "rub" | "sgd" | "zar" => 50,
        "aed" | "myr" | "pln" | "ron" => 200,
        "dkk" => 250,
        "nok" | "sek" => 300,
        "hkd" => 400,
        "mxn" | "thb" => 1_000,
        "czk" => 1_500,
        "huf" => 17_500,
        _ => 1,
    }
}

fn most(currency: &str) -> i64 {
    match currency {
        "idr" => 999_999_999_999,
        "cop" => 9_999_999_999,
        "inr" => 999_999_999,
        _ => 99_999_999,
    }
}

/// The currency as Stripe writes it; an error if it can't be paid in.
pub fn supported(currency: &str) -> Result<String, StripeError> {
    let small = currency.to_lowercase();
    if SUPPORTED.split_ascii_whitespace().any(|known| known == small) {
        return Ok(small);
    }
    let message = format!("Invalid currency: {small}. Stripe currently supports these currencies: usd, aed, afn, ...");
    Err(StripeError::parameter("currency", "parameter_invalid", message))
}

/// Refuses a charge that is too small, too large, or a fraction that the currency does not have.
pub fn chargeable(amount: i64, currency: &str) -> Result<(), StripeError> {
    refundable(amount, currency)?;
    if amount < least(currency) {
        let message = format!("Amount must be at least {} {currency}.", least(currency));
        return Err(StripeError::parameter("amount", "amount_too_small", message));
    }
    if amount > most(currency) {
        let message = format!("Amount must be no more than {} {currency}.", most(currency));
        return Err(StripeError::parameter("amount", "amount_too_large", message));
    }
    Ok(())
}

/// Refuses a refund that is a fraction that the currency does not have.
pub fn refundable(amount: i64, currency: &str) -> Result<(), StripeError> {
    let step = step(currency);
    if amount % step == 0 {
        return Ok(());
    }
    let message = format!("Invalid amount: {currency} amounts must be evenly divisible by {step}.");
    Err(StripeError::parameter("amount", "parameter_invalid_integer", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_limits_and_the_steps_of_their_currency() {
        for (amount, currency, fits) in [
            (50, "eur", true),
            (49, "eur", false),
            (99_999_999, "eur", true),
            (100_000_000, "eur", false),
            (100_000_000, "idr", true),
            (500_000, "isk", true),
            (5_050, "isk", false),
            (5_120, "kwd", true),
            (5_124, "kwd", false),
            (100, "mga", true),
            (17_499, "huf", false),
        ] {
            assert_eq!(chargeable(amount, currency).is_ok(), fits, "{amount} {currency}");
        }
    }

    #[test]
    fn what_is_no_currency_to_pay_in_is_refused() {
        assert!(supported("EUR").is_ok_and(|currency| currency == "eur"));
        for currency in ["xxx", "xts", "xau", "eu", ""] {
            assert!(supported(currency).is_err(), "{currency}");
        }
    }
}
