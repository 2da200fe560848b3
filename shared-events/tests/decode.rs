//! How a consumer treats data that it doesn't know.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::json;
use shared_events::*;

const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";

fn decode(type_name: &str, value: &serde_json::Value) -> Result<Event, DecodeError> {
    Event::decode(type_name, value.to_string().as_bytes())
}

fn refused(type_name: &str, value: &serde_json::Value) -> String {
    match decode(type_name, value) {
        Err(error @ DecodeError::Malformed { .. }) => error.to_string(),
        other => panic!("expected a malformed {type_name}, got {other:?}"),
    }
}

#[test]
fn a_field_that_was_added_later_is_no_error() {
    let event = decode("order.confirmed.v1", &json!({"order_id": ORDER, "gift_wrap": {"paper": "blue"}})).unwrap();
    assert_eq!(event, OrderConfirmed { order_id: ORDER.parse().unwrap() }.into());
}

#[test]
fn a_field_that_was_added_later_inside_a_line_is_no_error() {
    let line = json!({"sku": "TEA", "quantity": 1, "batch": "B7"});
    decode("stock.restocked.v1", &json!({"order_id": ORDER, "cause": "returned", "lines": [line]})).unwrap();
}

#[test]
fn both_rejections_are_read() {
    let expired = decode("stock.rejected.v1", &json!({"order_id": ORDER, "why": "expired"})).unwrap();
    assert_eq!(expired, StockRejected { order_id: ORDER.parse().unwrap(), rejection: Rejection::Expired }.into());
    refused("stock.rejected.v1", &json!({"order_id": ORDER, "why": "eaten"}));
    refused("stock.rejected.v1", &json!({"order_id": ORDER}));
}

/// A restock may cause a refund, so a cause that this build doesn't know is never guessed. The key is parked until a
/// build that knows the cause reads it.
#[test]
fn every_cause_of_a_restock_is_read_and_one_of_a_newer_producer_is_no_other() {
    for (name, cause) in [
        ("cancelled", RestockCause::Cancelled),
        ("returned", RestockCause::Returned),
        ("called_off", RestockCause::CalledOff),
    ] {
        let read = decode("stock.restocked.v1", &json!({"order_id": ORDER, "cause": name, "lines": []})).unwrap();
        assert_eq!(read, StockRestocked { order_id: ORDER.parse().unwrap(), cause, lines: vec![] }.into());
    }
    refused("stock.restocked.v1", &json!({"order_id": ORDER, "cause": "found_again", "lines": []}));
}

#[test]
fn an_unknown_type_is_told_apart_from_an_unknown_version() {
    assert!(
        matches!(decode("order.gift_wrapped.v1", &json!({})), Err(DecodeError::UnknownType(name)) if name == "order.gift_wrapped.v1")
    );
    assert!(matches!(
        decode("order.placed.v2", &json!({})),
        Err(DecodeError::UnknownVersion { type_name, known: "order.placed.v1" }) if type_name == "order.placed.v2"
    ));
}

#[test]
fn a_type_without_a_version_is_unknown() {
    for name in ["order.placed", "order", "", "order.placed.", ".v1", "ORDER.PLACED.V1"] {
        assert!(matches!(decode(name, &json!({})), Err(DecodeError::UnknownType(_))), "{name:?}");
    }
}

#[test]
fn a_missing_field_is_named() {
    let said = refused("shipment.delivered.v1", &json!({"order_id": ORDER}));
    assert!(said.contains("shipment_id"), "{said}");
}

#[test]
fn values_are_checked_when_they_are_read() {
    let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let captured = |amount| json!({"order_id": ORDER, "payment_id": ORDER, "amount": amount});
    decode("payment.captured.v1", &captured(eur(1))).unwrap();
    refused("payment.captured.v1", &captured(eur(-1)));
    refused("payment.captured.v1", &captured(json!({"amount": 12.99, "currency": "EUR"})));
    refused("payment.captured.v1", &captured(json!({"amount": 1, "currency": "EURO"})));
    refused("payment.captured.v1", &json!({"order_id": "7", "payment_id": ORDER, "amount": eur(1)}));
    refused("order.cancelled.v1", &json!({"order_id": ORDER, "reason": "boredom"}));
}

#[test]
fn a_refusal_never_repeats_what_stood_in_a_field() {
    for reason in [json!("Ann \"the\" Lee"), json!("Ann"), json!(["Ann"])] {
        let line = json!({"sku": "tea ann", "quantity": 1});
        let said =
            refused("stock.restocked.v1", &json!({"order_id": ORDER, "cause": "returned", "lines": [line, reason]}));
        let wrong_type =
            refused("shipment.created.v1", &json!({"order_id": ORDER, "shipment_id": ORDER, "lines": reason}));
        for said in [said, wrong_type] {
            assert!(!said.to_lowercase().contains("ann") && !said.contains("Lee"), "{said}");
        }
    }
}

#[test]
fn what_is_no_json_is_malformed_whatever_its_bytes() {
    for value in [&b""[..], b"null", b"{", b"[]", b"\xff\xfe", b"{\"order_id\":"] {
        assert!(matches!(Event::decode("order.confirmed.v1", value), Err(DecodeError::Malformed { .. })), "{value:?}");
    }
}

#[test]
fn a_topic_is_found_by_its_name_and_only_products_and_customers_are_compacted() {
    for topic in Topic::ALL {
        assert_eq!(Topic::from_name(topic.name()), Some(topic));
        assert_eq!(topic.compacted(), matches!(topic, Topic::Products | Topic::Customers));
    }
    assert_eq!(Topic::from_name("orders.v2"), None);
}
