//! Amounts as people type them.

use shared_events::Currency;

/// An amount such as `12.50` or `12,5` in minor units. Fails, and says why, if it is none, or is not more than nothing.
pub fn minor_units(text: &str, currency: &str) -> Result<i64, String> {
    let Ok(known) = currency.parse::<Currency>() else { return Err(format!("{currency:?} is no currency.")) };
    let digits = known.exponent();
    let expected = || format!("{text:?} is no amount in {currency}; expected one such as {}.", example(digits));
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) || part.len() > digits {
        return Err(expected());
    }
    let amount = format!("{whole}{part:0<digits$}").parse::<i64>().map_err(|_| expected())?;
    if amount == 0 { Err("Nothing is given back by 0.".to_owned()) } else { Ok(amount) }
}

/// An amount in minor units as a number with a point, without the currency.
pub fn plain(amount: i64, currency: &str) -> String {
    let digits = currency.parse::<Currency>().map_or(2, Currency::exponent);
    let (sign, amount) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    let unit = 10_u64.pow(u32::try_from(digits).unwrap_or_default());
    match digits {
        0 => format!("{sign}{amount}"),
        _ => format!("{sign}{}.{:0digits$}", amount / unit, amount % unit),
    }
}

fn example(digits: usize) -> String {
    if digits == 0 { "1250".to_owned() } else { format!("12.{:0<digits$}", 5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_has_as_many_digits_as_its_currency() {
        let good =
            [("12.50", "EUR", 1250), ("12,5", "EUR", 1250), ("7", "EUR", 700), ("7", "JPY", 7), ("0.01", "EUR", 1)];
        for (text, currency, amount) in good {
            assert_eq!(minor_units(text, currency), Ok(amount), "{text} {currency}");
        }
    }

    #[test]
    fn an_amount_is_written_as_it_is_read() {
        assert_eq!(
            [plain(1250, "EUR"), plain(7, "JPY"), plain(1, "EUR"), plain(-5, "EUR")],
            ["12.50", "7", "0.01", "-0.05"]
        );
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["", "-5", "1.005", "x", "1e3", "0", "0.00", ".5", "99999999999999999999"] {
            assert!(minor_units(text, "EUR").is_err(), "{text}");
        }
        assert!(minor_units("7.5", "JPY").is_err() && minor_units("7", "EURO").is_err());
    }
}
