//! What the value types refuse, and where their arithmetic stops.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::str::FromStr;

use shared_events::*;

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

fn pieces(count: i64) -> Quantity {
    Quantity::try_from(count).unwrap()
}

/// Asserts that parsing refuses each of `texts` and says what was expected.
fn refuses<T: FromStr<Err = Invalid> + std::fmt::Debug>(expected: &str, texts: &[&str]) {
    for text in texts {
        let refusal = text.parse::<T>().expect_err(text);
        assert!(refusal.expected.contains(expected), "{text:?}: {refusal}");
    }
}

fn accepts<T: FromStr<Err = Invalid>>(texts: &[&str]) {
    for text in texts {
        assert!(text.parse::<T>().is_ok(), "{text:?}");
    }
}

#[test]
fn money_is_never_negative_and_never_above_the_limit() {
    assert!(Money::new(-1, Currency::EUR).is_err());
    assert!(Money::new(i64::MIN, Currency::EUR).is_err());
    assert!(Money::new(MAX_AMOUNT + 1, Currency::EUR).is_err());
    assert!(Money::new(i64::MAX, Currency::EUR).is_err());
    assert_eq!(Money::new(MAX_AMOUNT, Currency::EUR).unwrap().amount(), MAX_AMOUNT);
    assert!(Money::zero(Currency::EUR).is_zero());
}

#[test]
fn money_is_never_added_across_currencies() {
    let usd = Money::new(1, Currency::USD).unwrap();
    assert_eq!(eur(1).checked_add(usd), None);
    assert_eq!(eur(1).checked_sub(usd), None);
}

#[test]
fn money_that_would_leave_its_range_is_nothing() {
    assert_eq!(eur(MAX_AMOUNT).checked_add(eur(1)), None);
    assert_eq!(eur(1).checked_sub(eur(2)), None);
    assert_eq!(eur(MAX_AMOUNT).checked_times(pieces(2)), None);
    assert_eq!(eur(MAX_AMOUNT).checked_times(pieces(10_000)), None);
}

#[test]
fn money_adds_up() {
    assert_eq!(eur(1299).checked_times(pieces(2)), Some(eur(2598)));
    assert_eq!(eur(1299).checked_add(eur(1)), Some(eur(1300)));
    assert_eq!(eur(1299).checked_sub(eur(1299)), Some(eur(0)));
}

#[test]
fn money_is_shown_with_the_decimals_of_its_currency() {
    let money = |amount, code: &str| Money::new(amount, code.parse().unwrap()).unwrap().to_string();
    assert_eq!(money(1299, "EUR"), "12.99 EUR");
    assert_eq!(money(5, "EUR"), "0.05 EUR");
    assert_eq!(money(1299, "JPY"), "1299 JPY");
    assert_eq!(money(1299, "KWD"), "1.299 KWD");
}

#[test]
fn money_is_written_as_an_integer_and_a_code_and_read_as_nothing_else() {
    assert_eq!(serde_json::to_string(&eur(1299)).unwrap(), r#"{"amount":1299,"currency":"EUR"}"#);
    for text in [
        r#"{"amount": 12.0, "currency": "EUR"}"#,
        r#"{"amount": "1299", "currency": "EUR"}"#,
        r#"{"amount": 1299}"#,
        r#"{"amount": 9223372036854775808, "currency": "EUR"}"#,
        r#"{"amount": 1, "currency": "EUR", "exponent": 3}"#,
    ] {
        assert!(serde_json::from_str::<Money>(text).is_err(), "{text}");
    }
}

#[test]
fn a_currency_is_one_of_iso_4217() {
    accepts::<Currency>(&["EUR", "USD", "JPY", "GBP"]);
    refuses::<Currency>("ISO 4217", &["", "eur", "EURO", "EU", "ABC", "€"]);
}

#[test]
fn a_quantity_is_1_to_10_000() {
    for count in [i64::MIN, -1, 0, 10_001, 4_294_967_297, i64::MAX] {
        assert!(Quantity::try_from(count).is_err(), "{count}");
    }
    assert_eq!([pieces(1).get(), pieces(10_000).get()], [1, Quantity::MAX]);
    assert!(serde_json::from_str::<Quantity>("2.5").is_err());
    assert!(serde_json::from_str::<Quantity>("\"2\"").is_err());
}

#[test]
fn a_sku_is_capitals_digits_and_few_signs() {
    let longest = "A".repeat(64);
    accepts::<Sku>(&["A", "TEA-EARL-GREY-250", "A_1.2", &longest]);
    refuses::<Sku>("SKU", &["", " ", "tea", "TEA 1", "TEA\n", "TÉ", "A/B", &"A".repeat(65)]);
}

#[test]
fn a_customer_id_and_a_payment_method_have_their_letters() {
    accepts::<CustomerId>(&["c-1001", "a@b:c.d_e", "auth0|5f7c8ec7c33c6c004bbafe82", &"a".repeat(255)]);
    refuses::<CustomerId>("customer id", &["", "a b", "a\0", &"a".repeat(256)]);
    accepts::<PaymentMethod>(&["pm_card_visa", "pm_card_chargeDeclined"]);
    refuses::<PaymentMethod>("payment method", &["", "pm-card", "pm card", &"p".repeat(101)]);
}

#[test]
fn a_line_of_text_is_one_line_and_not_blank() {
    accepts::<LineText>(&["1 Quay St", "Ünïcødé", &"é".repeat(200)]);
    refuses::<LineText>("one line", &["", "   ", "a\nb", "a\r\nBcc: b@example.com", "a\0", "\u{7f}", &"é".repeat(201)]);
}

#[test]
fn an_address_that_a_mail_server_would_misread_is_refused() {
    accepts::<EmailAddress>(&[
        "ann@example.com",
        "a.b+c@example.co.uk",
        "a@localhost",
        r#""a b"@b.co"#,
        r#""a\"@"@b.co"#,
    ]);
    refuses::<EmailAddress>(
        "e-mail",
        &[
            "",
            "@",
            "ann",
            "ann@",
            "@example.com",
            ".ann@example.com",
            "ann.@example.com",
            "a..b@example.com",
            "ann lee@example.com",
            "ann@exa mple.com",
            "ann@-example.com",
            "ann@example-.com",
            "ann@example..com",
            "ann@[127.0.0.1]",
            "\"\"@example.com",
            "\"ann@example.com",
            "\"a\"b\"@example.com",
            "\"ann\\\"@example.com",
            "\"a\nb\"@example.com",
            "ann@müller..de",
            "ann@-müller.de",
            "ann@\u{200b}.de",
            "ann@example.com\r\nBcc: b@example.com",
            "ann@example.com,b@example.com",
            "änn@example.com",
        ],
    );
    let long = |local: usize, domain: usize| format!("{}@{}", "a".repeat(local), "b".repeat(domain));
    refuses::<EmailAddress>("e-mail", &[&long(65, 3), &long(1, 64), &format!("a@{}", "bcd.".repeat(63) + "e")]);
}

#[test]
fn a_domain_in_other_letters_is_kept_as_mail_servers_know_it() {
    let kept = |text: &str| text.parse::<EmailAddress>().unwrap().as_str().to_owned();
    assert_eq!(kept("ann@müller.de"), "ann@xn--mller-kva.de");
    assert_eq!(kept("ann@MÜLLER.de"), "ann@xn--mller-kva.de");
    assert_eq!(kept("ann@例え.jp"), "ann@xn--r8jz45g.jp");
    assert_eq!(kept("Ann@Example.com"), "Ann@Example.com");
}

#[test]
fn mail_leaves_for_a_domain_with_a_dot_alone() {
    let leaves = |text: &str| text.parse::<EmailAddress>().unwrap().is_deliverable();
    for address in ["ann@example.com", "ann@müller.de", "\"a b\"@b.co"] {
        assert!(leaves(address), "{address}");
    }
    for address in ["a@b", "a@localhost", "a@127.0.0.1"] {
        assert!(!leaves(address), "{address}");
    }
}

#[test]
fn a_country_is_two_capital_letters() {
    assert!(CountryCode::try_from("IE".to_owned()).is_ok());
    for code in ["", "I", "ie", "IRL", "I1", "ÎÉ"] {
        assert!(CountryCode::try_from(code.to_owned()).is_err(), "{code:?}");
    }
}

#[test]
fn a_phone_number_is_as_e164_writes_it() {
    accepts::<PhoneNumber>(&["+491701234567", "+353861234567", "+1234567", "+123456789012345"]);
    refuses::<PhoneNumber>(
        "phone number",
        &[
            "",
            "+",
            "491701234567",
            "00491701234567",
            "+049170123",
            "+49 170 1234567",
            "+49-170-1234567",
            "+123456",
            "+1234567890123456",
            "++4917012345",
            "+٤٩١٧٠١٢٣٤٥",
            "+491701234567\n",
        ],
    );
}

#[test]
fn a_push_token_is_visible_ascii() {
    accepts::<PushToken>(&["a", "dGVzdA:APA91b_-=", &"t".repeat(4096)]);
    refuses::<PushToken>("push token", &["", " ", "a b", "a\n", "é", &"t".repeat(4097)]);
}

#[test]
fn a_set_of_channels_has_each_once_and_one_order() {
    let read = |text: &str| serde_json::from_str::<Channels>(text);
    assert_eq!(read(r#"["push", "email"]"#).unwrap(), read(r#"["email", "push"]"#).unwrap());
    assert_eq!(read("[]").unwrap().as_slice(), []);
    for text in [r#"["email", "email"]"#, r#"["sms", "email", "sms"]"#, r#"["fax"]"#, r#""email""#, "null"] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn whatever_a_customer_does_not_say_goes_by_mail_and_a_confirmation_always_goes() {
    let read = |text: &str| serde_json::from_str::<MessagePreferences>(text);
    assert_eq!(read("{}").unwrap(), MessagePreferences::default());
    for kind in MessageKind::ALL {
        assert_eq!(MessagePreferences::default().of(kind), [Channel::Email], "{kind:?}");
    }
    let said = read(r#"{"shipment": ["push"], "payment": []}"#).unwrap();
    assert_eq!(said.of(MessageKind::Shipment), [Channel::Push]);
    assert_eq!(said.of(MessageKind::Payment), []);
    assert!(said.uses(Channel::Push) && !said.uses(Channel::Sms));
    assert!(read(r#"{"order": []}"#).unwrap_err().to_string().contains("at least one channel"));
}

#[test]
fn an_id_is_a_uuid() {
    accepts::<OrderId>(&["01980a10-7c00-7000-8000-0000000000a1"]);
    refuses::<OrderId>(
        "UUID",
        &["", "7", "01980a10-7c00-7000-8000-0000000000a", "zz980a10-7c00-7000-8000-0000000000a1"],
    );
    assert!(OrderId::new() < OrderId::new(), "new ids sort by time");
}

#[test]
fn a_refusal_repeats_at_most_80_characters_of_what_it_was_given() {
    let refusal = "é".repeat(1000).parse::<Sku>().unwrap_err();
    assert_eq!(refusal.given.chars().count(), 80);
}

#[test]
fn neither_debug_nor_a_refusal_tells_an_address() {
    let customer = Customer {
        id: "c-1".parse().unwrap(),
        name: "Ann Lee".parse().unwrap(),
        email: "ann@example.com".parse().unwrap(),
    };
    let refusal = "zoe.@shop.test".parse::<EmailAddress>().unwrap_err();
    let shown = format!("{customer:?} {:?} {refusal}", customer.email).replace("such as ann@example.com", "");
    assert!(
        shown.contains("c-1") && !shown.contains("Ann") && !shown.contains("zoe") && !shown.contains("@"),
        "{shown}"
    );

    let (phone, token): (PhoneNumber, PushToken) = ("+353861234567".parse().unwrap(), "device7".parse().unwrap());
    let profile = CustomerChanged {
        customer_id: customer.id,
        name: customer.name,
        email: customer.email,
        phone: Some(phone.clone()),
        push_token: Some(token.clone()),
        delivery_address: None,
        language: Language::En,
        messages: MessagePreferences::default(),
    };
    let refusals = ["0353861".parse::<PhoneNumber>().unwrap_err(), "0353 861".parse::<PushToken>().err().unwrap()];
    let shown = format!("{profile:?} {phone:?} {token:?} {refusals:?}");
    for hidden in ["Ann", "@", "+353", "0353", "device7"] {
        assert!(!shown.contains(hidden), "{hidden} is in {shown}");
    }
}
