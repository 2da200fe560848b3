use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use shared_events::*;

use super::eur;
use crate::domain::{CustomerDraft, DraftRefused, MAX_LINES, Order, OrderDraft, Product, Profile, Status};

fn draft(lines: &[(&str, i64)]) -> OrderDraft {
    let text = |text: &str| text.parse().unwrap();
    OrderDraft {
        customer: CustomerDraft {
            id: "c-1".parse().unwrap(),
            name: Some(text("Ann Lee")),
            email: Some("ann@example.com".parse().unwrap()),
            is_guest: false,
        },
        delivery_address: Some(quay_street()),
        currency: Currency::EUR,
        lines: lines.iter().map(|(sku, quantity)| (sku.parse().unwrap(), (*quantity).try_into().unwrap())).collect(),
        payment_method: "pm_card_visa".parse().unwrap(),
    }
}

fn quay_street() -> Address {
    let text = |text: &str| text.parse().unwrap();
    Address {
        line1: text("1 Quay St"),
        line2: None,
        city: text("Cork"),
        postal_code: text("T12"),
        country: "IE".to_owned().try_into().unwrap(),
    }
}

fn product(price: Money, status: ProductStatus) -> Product {
    Product { name: "Earl Grey".parse().unwrap(), price, status }
}

fn catalogue() -> BTreeMap<Sku, Product> {
    let dear = Money::new(MAX_AMOUNT, Currency::EUR).unwrap();
    let payable = Money::new(MAX_CHARGE, Currency::EUR).unwrap();
    let dollars = Money::new(1, Currency::USD).unwrap();
    let in_currency =
        |amount, code: &str| product(Money::new(amount, code.parse().unwrap()).unwrap(), ProductStatus::Active);
    [
        ("TEA", product(eur(12_99), ProductStatus::Active)),
        ("MUG", product(eur(5_00), ProductStatus::Active)),
        ("OLD", product(eur(5_00), ProductStatus::Withdrawn)),
        ("YACHT", product(dear, ProductStatus::Active)),
        ("BOAT", product(payable, ProductStatus::Active)),
        ("DOLLAR", product(dollars, ProductStatus::Active)),
        ("CLIP", product(eur(10), ProductStatus::Active)),
        ("WOOL", in_currency(5_000, "ISK")),
        ("VANILLA", in_currency(100_050, "MGA")),
        ("GOLD", in_currency(1, "XAU")),
    ]
    .into_iter()
    .map(|(sku, product)| (sku.parse().unwrap(), product))
    .collect()
}

/// The order, or the first problem.
fn placed(lines: &[(&str, i64)]) -> Result<Order, DraftRefused> {
    all_placed(lines).map_err(|mut refused| refused.remove(0))
}

fn all_placed(lines: &[(&str, i64)]) -> Result<Order, Vec<DraftRefused>> {
    let now = Utc::now();
    draft(lines).checked()?.complete(None)?.place(OrderId::new(), &catalogue(), now, now + TimeDelta::minutes(20))
}

fn refused_field(lines: &[(&str, i64)]) -> String {
    placed(lines).unwrap_err().field()
}

#[test]
fn prices_and_total_come_from_the_catalogue() {
    let order = placed(&[("TEA", 2), ("MUG", 1)]).unwrap();
    assert_eq!(order.placed.total, eur(30_98));
    assert_eq!(order.placed.lines[0].unit_price, eur(12_99));
    assert_eq!((order.progress.pieces, order.progress.status), (3, Status::Pending));
}

#[test]
fn an_order_without_lines_is_refused() {
    assert_eq!(placed(&[]).unwrap_err(), DraftRefused::NoLines);
}

#[test]
fn as_many_lines_as_allowed_are_taken_and_one_more_is_refused() {
    let skus: Vec<String> = (0..=MAX_LINES).map(|n| format!("SKU-{n}")).collect();
    let lines: Vec<(&str, i64)> = skus.iter().map(|sku| (sku.as_str(), 1)).collect();
    assert!(draft(&lines[..MAX_LINES]).checked().is_ok());
    assert_eq!(draft(&lines).checked().unwrap_err(), [DraftRefused::TooManyLines(MAX_LINES + 1)]);
}

#[test]
fn a_sku_that_stands_twice_is_refused_where_it_stands_again() {
    assert_eq!(refused_field(&[("TEA", 1), ("MUG", 1), ("TEA", 2)]), "lines[2].sku");
}

#[test]
fn an_unknown_a_withdrawn_and_a_foreign_product_are_refused() {
    assert_eq!(refused_field(&[("TEA", 1), ("NONE", 1)]), "lines[1].sku");
    assert!(matches!(placed(&[("OLD", 1)]), Err(DraftRefused::Withdrawn { line: 0, .. })));
    assert!(matches!(placed(&[("DOLLAR", 1)]), Err(DraftRefused::OtherCurrency { line: 0, .. })));
}

#[test]
fn a_line_beyond_what_money_can_hold_is_refused() {
    assert_eq!(refused_field(&[("YACHT", 2)]), "lines[0].quantity");
}

#[test]
fn what_can_be_paid_at_once_can_be_ordered_and_nothing_dearer() {
    assert_eq!(placed(&[("BOAT", 1)]).unwrap().placed.total, eur(MAX_CHARGE));
    for dearer in [[("BOAT", 1), ("TEA", 1)], [("TEA", 1), ("YACHT", 1)]] {
        let refused = placed(&dearer).unwrap_err();
        assert_eq!(refused.field(), "lines");
        let most = ["999999.99 EUR", "more than one payment can be"];
        assert!(most.iter().any(|most| refused.to_string().contains(most)), "{refused}");
    }
}

#[test]
fn what_is_too_little_to_be_paid_is_refused_and_enough_of_it_is_taken() {
    let refused = placed(&[("CLIP", 4)]).unwrap_err();
    assert_eq!(refused.field(), "lines");
    assert!(refused.to_string().contains("least") && refused.to_string().contains("0.50 EUR"), "{refused}");
    assert_eq!(placed(&[("CLIP", 5)]).unwrap().placed.total, eur(50));
}

#[test]
fn currencies_are_taken_as_they_are_paid_in_and_others_are_refused_by_field() {
    let in_currency = |code: &str, lines: &[(&str, i64)]| {
        let draft = OrderDraft { currency: code.parse().unwrap(), ..draft(lines) };
        draft.checked()?.complete(None)?.place(OrderId::new(), &catalogue(), Utc::now(), Utc::now())
    };
    assert_eq!(in_currency("ISK", &[("WOOL", 1)]).unwrap().placed.total.to_gateway(), Ok(500_000));
    for (code, sku, field) in [("XAU", "GOLD", "currency"), ("XXX", "TEA", "currency"), ("MGA", "VANILLA", "lines")] {
        let refused = in_currency(code, &[(sku, 2)]).unwrap_err();
        assert_eq!(refused.iter().map(DraftRefused::field).collect::<Vec<_>>(), [field], "{code}");
    }
}

#[test]
fn what_is_no_country_is_refused_by_field() {
    for (code, is_one) in [("IE", true), ("XK", true), ("ZZ", false), ("XX", false), ("EU", false)] {
        let country: CountryCode = code.to_owned().try_into().unwrap();
        let draft = draft(&[("TEA", 1)]);
        let delivery_address = Some(Address { country: country.clone(), ..quay_street() });
        let refused = OrderDraft { delivery_address, ..draft }.checked().map(drop);
        let expected = if is_one { Ok(()) } else { Err(vec![DraftRefused::NoCountry(country)]) };
        assert_eq!(refused, expected, "{code}");
        assert!(is_one || refused.unwrap_err()[0].field() == "delivery_address.country");
    }
}

#[test]
fn every_line_that_can_not_be_had_is_told_with_its_place() {
    let refused = all_placed(&[("TEA", 1), ("NONE", 1), ("OLD", 1), ("DOLLAR", 1), ("YACHT", 2)]).unwrap_err();
    let fields: Vec<_> = refused.iter().map(DraftRefused::field).collect();
    assert_eq!(fields, ["lines[1].sku", "lines[2].sku", "lines[3].sku", "lines[4].quantity"]);
    let twice = all_placed(&[("TEA", 1), ("TEA", 1), ("MUG", 1), ("MUG", 2)]).unwrap_err();
    assert_eq!(twice.iter().map(DraftRefused::field).collect::<Vec<_>>(), ["lines[1].sku", "lines[3].sku"]);
}

fn profile(delivery_address: Option<Address>) -> Profile {
    Profile {
        name: "Ann Kept".parse().unwrap(),
        email: "kept@example.com".parse().unwrap(),
        phone: None,
        push_token: None,
        delivery_address,
        language: Language::En,
        messages: MessagePreferences::default(),
    }
}

#[test]
fn what_an_order_says_of_its_customer_stays_and_what_it_leaves_out_is_the_profiles() {
    let whole = draft(&[("TEA", 1)]);
    assert_eq!(whole.profile_of(), None);
    let kept = Address { line1: "2 Mill Rd".parse().unwrap(), ..quay_street() };
    let said = whole.clone().complete(Some(profile(Some(kept.clone())))).unwrap();
    assert_eq!((said.customer.name.as_str(), &said.delivery_address), ("Ann Lee", &quay_street()));

    let without_address = OrderDraft { delivery_address: None, ..whole.clone() };
    assert_eq!(without_address.profile_of().map(CustomerId::as_str), Some("c-1"));
    let taken = without_address.complete(Some(profile(Some(kept.clone())))).unwrap();
    assert_eq!((taken.customer.name.as_str(), taken.delivery_address), ("Ann Lee", kept.clone()));

    let nobody = CustomerDraft { name: None, email: None, ..whole.customer.clone() };
    let taken = OrderDraft { customer: nobody, ..whole }.complete(Some(profile(Some(kept)))).unwrap();
    assert_eq!((taken.customer.name.as_str(), taken.customer.email.as_str()), ("Ann Kept", "kept@example.com"));
    assert_eq!(taken.delivery_address, quay_street());
}

#[test]
fn every_field_that_neither_the_order_nor_a_profile_has_is_told_and_how_to_set_it() {
    let fields = |draft: OrderDraft, profile| {
        let refused = draft.complete(profile).unwrap_err();
        refused.iter().map(|why| (why.field(), why.to_string())).collect::<Vec<_>>()
    };
    let empty = |is_guest| {
        let customer = CustomerDraft { name: None, email: None, is_guest, ..draft(&[]).customer };
        OrderDraft { customer, delivery_address: None, ..draft(&[("TEA", 1)]) }
    };
    let refused = fields(empty(false), None);
    let names: Vec<_> = refused.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(names, ["customer.name", "customer.email", "delivery_address"]);
    assert!(refused.iter().all(|(_, told)| told.contains("PUT /api/v1/customers/c-1")), "{refused:?}");
    assert_eq!(fields(empty(false), Some(profile(None))).len(), 1);

    assert_eq!(empty(true).profile_of(), None, "a guest has none, whoever has their id");
    let refused = fields(empty(true), None);
    assert!(refused.len() == 3 && refused.iter().all(|(_, told)| told.contains("a guest")), "{refused:?}");
}
