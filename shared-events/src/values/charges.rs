//! Which amounts can be charged, in which currencies, and in which units the gateway counts them.
//!
//! The tables follow <https://docs.stripe.com/currencies> (its sections "Supported presentment currencies",
//! "Zero-decimal currencies", "Three-decimal currencies", "Special cases", "Minimum and maximum charge amounts"). The
//! greatest amount of all other currencies is from
//! <https://docs.stripe.com/api/payment_intents/create#create_payment_intent-amount>. The tables are in the gateway's
//! units; everything else in Quadrille is in minor units of ISO 4217.

use super::{Currency, Money, money::MAX_AMOUNT};

/// The currencies that a card can be charged in.
const PRESENTMENT: &str = "\
    USD AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP \
    CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK \
    JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN \
    NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD STD \
    SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW";

/// Currencies that the gateway counts in whole units. ISO 4217 gives the ariary (MGA) two decimals, which nobody
/// uses.
const ZERO_DECIMAL: &str = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF";

/// Currencies that the gateway counts in thousandths, where the last digit is always 0.
const THREE_DECIMAL: &str = "BHD JOD KWD OMR TND";

/// Currencies without decimals that the gateway counts in hundredths, where the last two digits are always 0. HUF and
/// TWD are whole only in payouts; they are charged with two decimals.
const WHOLE_IN_HUNDREDTHS: &str = "ISK UGX";

/// The least amount that is charged. Stripe applies the minimum of the currency that the account is paid out in. It
/// converts other currencies first, so it may refuse a little more than this.
const LEAST: [(&str, i64); 31] = [
    ("USD", 50),
    ("AED", 200),
    ("ARS", 50),
    ("AUD", 50),
    ("BRL", 50),
    ("CAD", 50),
    ("CHF", 50),
    ("COP", 50),
    ("CZK", 1500),
    ("DKK", 250),
    ("EUR", 50),
    ("GBP", 30),
    ("HKD", 400),
    ("HUF", 17_500),
    ("IDR", 50),
    ("ILS", 50),
    ("INR", 50),
    ("JPY", 50),
    ("KRW", 50),
    ("MXN", 1000),
    ("MYR", 200),
    ("NOK", 300),
    ("NZD", 50),
    ("PHP", 50),
    ("PLN", 200),
    ("RON", 200),
    ("RUB", 50),
    ("SEK", 300),
    ("SGD", 50),
    ("THB", 1000),
    ("ZAR", 50),
];

/// The greatest amount that is charged, where it is not [`MOST_ELSEWHERE`].
const MOST: [(&str, i64); 3] = [("IDR", 999_999_999_999), ("COP", 9_999_999_999), ("INR", 999_999_999)];
const MOST_ELSEWHERE: i64 = 99_999_999;

/// How one currency is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// The number of decimals that the gateway counts in.
    decimals: u32,
    /// Every amount is a multiple of this, in the gateway's units.
    step: i64,
    least: i64,
    most: i64,
}

/// Why an amount can't be charged. The text can be shown to whoever set the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChargeable {
    /// The currency can't be charged on a card; funds, metals and test codes can't either.
    #[error("{0} is not a currency that a payment can be made in, such as EUR")]
    Currency(Currency),
    /// The gateway doesn't take such a fraction.
    #[error("{amount} can't be charged: amounts in {} are multiples of {step} minor units", amount.currency())]
    Step {
        /// The requested amount.
        amount: Money,
        /// The step, in minor units.
        step: i64,
    },
    /// The amount is below the minimum charge.
    #[error("{amount} is less than the least that can be charged, which is {least}")]
    TooLittle {
        /// The requested amount.
        amount: Money,
        /// The minimum.
        least: Money,
    },
    /// The amount is more than one payment can be.
    #[error("{amount} is more than the most that can be charged at once, which is {most}")]
    TooMuch {
        /// The requested amount.
        amount: Money,
        /// The maximum.
        most: Money,
    },
}

fn is_in(list: &str, code: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == code)
}

fn limit(table: &[(&str, i64)], code: &str, elsewhere: i64) -> i64 {
    table.iter().find(|(listed, _)| *listed == code).map_or(elsewhere, |(_, limit)| *limit)
}

impl Rule {
    fn of(currency: Currency) -> Option<Self> {
        let code = currency.code();
        let (decimals, step) = match code {
            _ if is_in(WHOLE_IN_HUNDREDTHS, code) => (2, 100),
            _ if is_in(THREE_DECIMAL, code) => (3, 10),
            _ if is_in(ZERO_DECIMAL, code) => (0, 1),
            _ => (2, 1),
        };
        let (least, most) = (limit(&LEAST, code, step), limit(&MOST, code, MOST_ELSEWHERE));
        is_in(PRESENTMENT, code).then_some(Self { decimals, step, least, most: most - most % step })
    }

    /// How a minor unit converts to the gateway's units: multiply by the first, divide by the second.
    fn scale(self, currency: Currency) -> (i64, i64) {
        let ours = u32::try_from(currency.exponent()).unwrap_or(0);
        (10_i64.pow(self.decimals.saturating_sub(ours)), 10_i64.pow(ours.saturating_sub(self.decimals)))
    }

    /// Converts an amount in the gateway's units to minor units.
    fn minor_units(self, gateways: i64, currency: Currency) -> i64 {
        let (up, down) = self.scale(currency);
        gateways.saturating_mul(down) / up
    }
}

impl Currency {
    /// Whether a payment can be made in this currency.
    pub fn is_chargeable(self) -> bool {
        Rule::of(self).is_some()
    }
}

impl Money {
    /// The amount in the gateway's units: 5,000 krónur (ISK) are 500000, 100.00 ariary (MGA) are 100.
    ///
    /// # Errors
    /// Fails if the currency, or this fraction of it, can't be charged.
    pub fn to_gateway(self) -> Result<i64, NotChargeable> {
        let currency = self.currency();
        let rule = Rule::of(currency).ok_or(NotChargeable::Currency(currency))?;
        let (up, down) = rule.scale(currency);
        let gateways = self.amount().saturating_mul(up) / down;
        if self.amount() % down == 0 && gateways % rule.step == 0 {
            return Ok(gateways);
        }
        Err(NotChargeable::Step { amount: self, step: rule.minor_units(rule.step, currency) })
    }

    /// Converts an amount in the gateway's units to minor units. A fraction of a minor unit is cut off; no charge of
    /// ours has one.
    pub fn minor_units_of_gateway(amount: i64, currency: Currency) -> i64 {
        Rule::of(currency).map_or(amount, |rule| rule.minor_units(amount, currency))
    }

    /// Checks that one piece can be sold at this price: its currency and fraction can be charged, and it is not above
    /// the maximum. It may be below the minimum payment, since several pieces can be ordered.
    ///
    /// # Errors
    /// Fails with the reason why this price can't be charged.
    pub fn check_price(self) -> Result<(), NotChargeable> {
        let (gateways, currency) = (self.to_gateway()?, self.currency());
        let rule = Rule::of(currency).ok_or(NotChargeable::Currency(currency))?;
        let money = |gateways| {
            let minor = rule.minor_units(gateways, currency).min(MAX_AMOUNT);
            Money::new(minor, currency).unwrap_or(self)
        };
        if gateways > rule.most {
            return Err(NotChargeable::TooMuch { amount: self, most: money(rule.most) });
        }
        Ok(())
    }

    /// Checks that a payment of this amount can be made.
    ///
    /// # Errors
    /// Fails with the reason why this amount can't be charged.
    pub fn check_charge(self) -> Result<(), NotChargeable> {
        self.check_price()?;
        let currency = self.currency();
        let rule = Rule::of(currency).ok_or(NotChargeable::Currency(currency))?;
        if self.to_gateway()? < rule.least {
            let least = Money::new(rule.minor_units(rule.least, currency), currency).unwrap_or(self);
            return Err(NotChargeable::TooLittle { amount: self, least });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    fn money(amount: i64, code: &str) -> Money {
        Money::new(amount, currency(code)).unwrap()
    }

    #[test]
    fn the_gateway_is_told_what_is_meant_and_what_it_says_is_read_so() {
        for (amount, code, gateways) in [
            (12_99, "EUR", 12_99),
            (500, "JPY", 500),
            (5_000, "ISK", 500_000),
            (1, "UGX", 100),
            (10_000, "MGA", 100),
            (5_120, "KWD", 5_120),
            (10_45, "HUF", 10_45),
            (80_045, "TWD", 80_045),
        ] {
            assert_eq!(money(amount, code).to_gateway(), Ok(gateways), "{code}");
            assert_eq!(Money::minor_units_of_gateway(gateways, currency(code)), amount, "{code}");
        }
    }

    #[test]
    fn fractions_that_nobody_charges_are_refused() {
        for (amount, code, step) in [(10_050, "MGA", 100), (5_124, "KWD", 10), (1, "TND", 10)] {
            let refused = NotChargeable::Step { amount: money(amount, code), step };
            assert_eq!(money(amount, code).to_gateway(), Err(refused), "{code}");
        }
    }

    #[test]
    fn funds_metals_test_codes_and_what_no_card_is_charged_in_are_no_currencies_to_pay_in() {
        for code in ["XXX", "XTS", "XAU", "XAG", "XDR", "CLF", "UYI", "BOV", "CHE", "KPW", "IQD"] {
            let refused = NotChargeable::Currency(currency(code));
            assert_eq!(
                (currency(code).is_chargeable(), money(100, code).check_price()),
                (false, Err(refused)),
                "{code}"
            );
        }
    }

    #[test]
    fn a_payment_has_a_least_and_a_greatest_amount_and_a_price_the_greatest_alone() {
        for (least, code) in
            [(50, "EUR"), (30, "GBP"), (50, "JPY"), (17_500, "HUF"), (1, "ISK"), (10, "KWD"), (100, "MGA")]
        {
            assert_eq!(money(least, code).check_charge(), Ok(()), "{code}");
            assert!(money(least, code).checked_sub(money(1, code)).unwrap().check_charge().is_err(), "{code}");
        }
        assert_eq!(money(1, "EUR").check_price(), Ok(()));
        for (most, code) in [(99_999_999, "EUR"), (999_999, "ISK"), (9_999_999_900, "MGA"), (99_999_990, "KWD")] {
            assert_eq!(money(most, code).check_charge(), Ok(()), "{code}");
            let step = match code {
                "MGA" => 100,
                "KWD" => 10,
                _ => 1,
            };
            let above = money(most + step, code);
            let refused = NotChargeable::TooMuch { amount: above, most: money(most, code) };
            assert_eq!((above.check_price(), above.check_charge()), (Err(refused), Err(refused)), "{code}");
        }
        assert_eq!(money(MAX_AMOUNT, "IDR").check_charge(), Ok(()));
    }

    /// These are the only currencies that ISO 4217 and the gateway count differently.
    #[test]
    fn minor_units_differ_from_the_gateways_in_three_currencies() {
        let known = |code: &&str| code.parse::<Currency>().is_ok();
        let differs = |code: &&str| Rule::of(currency(code)).unwrap().scale(currency(code)) != (1, 1);
        let differing: Vec<_> = PRESENTMENT.split_ascii_whitespace().filter(known).filter(differs).collect();
        assert_eq!(differing, ["ISK", "MGA", "UGX"]);
        let unknown: Vec<_> = PRESENTMENT.split_ascii_whitespace().filter(|code| !known(code)).collect();
        assert_eq!(unknown, ["ANG", "STD"], "gone from ISO 4217");
        for listed in [ZERO_DECIMAL, THREE_DECIMAL, WHOLE_IN_HUNDREDTHS] {
            assert!(listed.split_ascii_whitespace().all(|code| is_in(PRESENTMENT, code)));
        }
        assert!(LEAST.iter().chain(&MOST).all(|(code, _)| is_in(PRESENTMENT, code)));
    }
}
