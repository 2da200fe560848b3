//! Parcels over HTTP: their way, what comes back of them, and how they are split.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod api;
mod common;

use api::Api;
use common::*;
use reqwest::Method;
use serde_json::{Value, json};
use shared_events::*;

fn handed() -> Value {
    json!({"carrier": "An Post", "tracking_number": "AP-1"})
}

fn line(quantity: i64) -> Value {
    json!({"lines": [{"sku": "TEA", "quantity": quantity}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn goods_come_back_to_a_shelf_that_was_filled_up_meanwhile() {
    let api = Api::over(Warehouse::with(&[("TEA", 1_000_000_000)]).await).await;
    let order = OrderId::new();
    api.warehouse.hears(placed(order, &[("TEA", 10)])).await;
    api.warehouse.hears(confirmed(order)).await;
    let delivery = json!({"delta": 10, "reason": "delivery"});
    api.expect(Method::POST, "/products/TEA/adjustments", Some(&delivery), 200).await;
    api.warehouse.hears(cancel_requested(order)).await;
    assert_eq!(api.warehouse.said_of(order).await.last(), Some(&"stock.restocked.v1"));
    assert_eq!(api.warehouse.level("TEA").await, (1_000_000_010, 0));
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_packed_dispatched_and_delivered_in_this_order_alone() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let order = OrderId::new();
    api.warehouse.hears(placed(order, &[("TEA", 2)])).await;
    let held = api.get(&format!("/reservations?order_id={order}")).await["items"][0].clone();
    assert_eq!((&held["status"], &held["lines"][0]["quantity"]), (&json!("held"), &json!(2)));
    api.warehouse.hears(confirmed(order)).await;
    api.warehouse.hears(captured(order)).await;
    let found = api.get(&format!("/shipments?order_id={order}&status=pending")).await;
    let path = format!("/shipments/{}", found["items"][0]["id"].as_str().unwrap());
    let handed = handed();
    api.refuses(Method::POST, &format!("{path}/deliver"), "", 409, None).await;
    api.expect(Method::POST, &format!("{path}/pack"), Some(&json!({})), 200).await;
    api.refuses(Method::POST, &format!("{path}/pack"), "", 409, None).await;
    let gone = api.expect(Method::POST, &format!("{path}/dispatch"), Some(&handed), 200).await;
    assert_eq!((&gone["status"], &gone["carrier"]), (&json!("dispatched"), &json!("An Post")));
    assert_eq!(api.expect(Method::POST, &format!("{path}/dispatch"), Some(&handed), 200).await, gone);
    let other = json!({"carrier": "An Post", "tracking_number": "ANOTHER"}).to_string();
    api.refuses(Method::POST, &format!("{path}/dispatch"), &other, 409, None).await;
    api.expect(Method::POST, &format!("{path}/deliver"), None, 200).await;
    assert_eq!(api.get(&path).await["status"], "delivered");
    assert_eq!(api.warehouse.said_of(order).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracking_number_is_corrected_while_the_parcel_is_on_its_way_and_the_same_correction_says_nothing_twice() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let order = api.warehouse.paid(&[("TEA", 2)]).await;
    let path = api.shipment_of(order).await;
    let to = format!("{path}/tracking");
    let (wrong, right) =
        (json!({"carrier": "An Post", "tracking_number": "AP-1"}), json!({"carrier": "DPD", "tracking_number": "D-1"}));
    api.refuses(Method::PUT, &to, &right.to_string(), 409, None).await;
    api.expect(Method::POST, &format!("{path}/dispatch"), Some(&wrong), 200).await;
    api.refuses(Method::PUT, &to, r#"{"carrier": "DPD"}"#, 422, Some("tracking_number")).await;
    let none = format!("/shipments/{}/tracking", ShipmentId::new());
    api.refuses(Method::PUT, &none, &right.to_string(), 404, None).await;
    for _ in 0..2 {
        let corrected = api.expect(Method::PUT, &to, Some(&right), 200).await;
        assert_eq!((&corrected["status"], &corrected["carrier"]), (&json!("dispatched"), &json!("DPD")));
    }
    assert_eq!(api.get(&path).await["tracking_number"], "D-1");
    api.expect(Method::POST, &format!("{path}/dispatch"), Some(&right), 200).await;
    api.expect(Method::POST, &format!("{path}/deliver"), None, 200).await;
    api.expect(Method::PUT, &to, Some(&right), 200).await;
    api.refuses(Method::PUT, &to, &wrong.to_string(), 409, None).await;
    let says = ["shipment.dispatched.v1", "shipment.tracking_corrected.v1", "shipment.delivered.v1"];
    assert_eq!(api.warehouse.said_of(order).await[3..], says);
    let said = api.warehouse.said().await;
    let corrected = said.iter().find_map(|event| match event {
        Event::Shipment(ShipmentEvent::TrackingCorrected(corrected)) => Some(corrected),
        _ => None,
    });
    assert_eq!(corrected.unwrap().previous_tracking_number.as_ref().unwrap().as_str(), "AP-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_a_delivered_parcel_come_back_onto_the_shelf_and_the_money_is_told_to_follow() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let order = api.warehouse.paid(&[("TEA", 3)]).await;
    let path = api.shipment_of(order).await;
    let to = format!("{path}/return");
    api.refuses(Method::POST, &to, &line(1).to_string(), 409, None).await;
    let handed = handed();
    api.expect(Method::POST, &format!("{path}/dispatch"), Some(&handed), 200).await;
    api.expect(Method::POST, &format!("{path}/deliver"), None, 200).await;
    api.refuses(Method::POST, &to, &json!({"lines": []}).to_string(), 422, Some("lines")).await;
    let twice = json!({"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1}]});
    api.refuses(Method::POST, &to, &twice.to_string(), 422, Some("lines[1].sku")).await;
    let some = api.expect(Method::POST, &to, Some(&line(1)), 200).await;
    assert_eq!((&some["status"], &some["returned"][0]["quantity"]), (&json!("delivered"), &json!(1)));
    assert_eq!(api.warehouse.level("TEA").await, (8, 0));
    api.refuses(Method::POST, &to, &line(3).to_string(), 409, None).await;
    api.expect(Method::POST, &to, Some(&line(2)), 200).await;
    assert_eq!(api.get(&path).await["status"], "returned");
    assert_eq!(api.warehouse.level("TEA").await, (10, 0));
    let says = ["shipment.returned.v1", "stock.restocked.v1", "shipment.returned.v1", "stock.restocked.v1"];
    assert_eq!(api.warehouse.said_of(order).await[5..], says);
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_return_that_is_sent_again_with_its_key_puts_the_goods_back_once() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let order = api.warehouse.paid(&[("TEA", 3)]).await;
    let path = api.shipment_of(order).await;
    let to = format!("{path}/return");
    assert_eq!(api.once("r-1", &to, &line(1)).await.0, 409, "it is still in the warehouse");
    let handed = handed();
    api.expect(Method::POST, &format!("{path}/dispatch"), Some(&handed), 200).await;
    api.expect(Method::POST, &format!("{path}/deliver"), None, 200).await;
    let first = api.once("r-1", &to, &line(1)).await;
    assert_eq!((first.0, &first.1["returned"]), (200, &line(1)["lines"]), "a refusal is not kept under the key");
    assert_eq!(api.once("r-1", &to, &line(1)).await, first);
    let (status, problem) = api.once("r-1", &to, &line(2)).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("Idempotency-Key")));
    assert_eq!(api.warehouse.level("TEA").await, (8, 0));
    assert_eq!(api.warehouse.said_of(order).await[5..], ["shipment.returned.v1", "stock.restocked.v1"]);
    assert_eq!(api.once("r-2", &to, &line(1)).await.1["returned"].as_array().unwrap().len(), 2);
    assert_eq!(api.once("r-1", &to, &line(1)).await, first, "as it was answered then");
    assert_eq!(api.warehouse.level("TEA").await, (9, 0));
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_call_off_a_parcel_that_cannot_leave_once_another_of_its_order_has() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let order = api.warehouse.paid(&[("TEA", 3)]).await;
    let split = format!("{}/split", api.shipment_of(order).await);
    let parts = api.expect(Method::POST, &split, Some(&line(1)), 200).await;
    let path = |n: usize| format!("/shipments/{}", parts["items"][n]["id"].as_str().unwrap());
    let call_off = |n: usize| format!("{}/call-off", path(n));
    api.refuses(Method::POST, &call_off(1), "", 409, None).await;
    let handed = handed();
    api.expect(Method::POST, &format!("{}/dispatch", path(0)), Some(&handed), 200).await;
    for _ in 0..2 {
        let called_off = api.expect(Method::POST, &call_off(1), None, 200).await;
        assert_eq!((&called_off["status"], &called_off["split_into"]), (&json!("cancelled"), &json!([])));
    }
    api.refuses(Method::POST, &call_off(0), "", 409, None).await;
    api.refuses(Method::POST, &call_off(1), r#"{"why": "broken"}"#, 422, Some("why")).await;
    api.refuses(Method::POST, &format!("{}/dispatch", path(1)), &handed.to_string(), 409, None).await;
    let says = api.warehouse.said_of(order).await;
    assert_eq!(says[6..], ["shipment.dispatched.v1", "shipment.cancelled.v1", "stock.restocked.v1"]);
    assert_eq!(api.warehouse.level("TEA").await, (9, 0));
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_split_by_quantities_and_each_part_goes_its_own_way() {
    let api = Api::over(Warehouse::with(&[("TEA", 10), ("MUG", 2)]).await).await;
    let order = api.warehouse.paid(&[("MUG", 1), ("TEA", 3)]).await;
    let of_order = format!("/shipments?order_id={order}");
    let path = api.shipment_of(order).await;
    let split = format!("{path}/split");
    for (body, status, field) in [
        (r#"{"lines": []}"#, 422, Some("lines")),
        (r#"{"lines": [{"sku": "TEA", "quantity": 0}]}"#, 422, Some("lines[0].quantity")),
        (r#"{"lines": [{"sku": "TEA", "quantity": 1}, {"sku": "TEA", "quantity": 1}]}"#, 422, Some("lines[1].sku")),
        (r#"{"lines": [{"sku": "TEA", "quantity": 4}]}"#, 409, None),
        (r#"{"lines": [{"sku": "POT", "quantity": 1}]}"#, 409, None),
        (r#"{"lines": [{"sku": "TEA", "quantity": 3}, {"sku": "MUG", "quantity": 1}]}"#, 409, None),
    ] {
        api.refuses(Method::POST, &split, body, status, field).await;
    }
    let two = line(2);
    let parts = api.expect(Method::POST, &split, Some(&two), 200).await;
    assert_eq!(parts["items"][0]["lines"], two["lines"]);
    assert_eq!(parts["items"][1]["lines"], json!([{"sku": "MUG", "quantity": 1}, {"sku": "TEA", "quantity": 1}]));
    let whole = api.get(&path).await;
    assert_eq!((&whole["status"], &whole["split_into"][1]), (&json!("cancelled"), &parts["items"][1]["id"]));
    assert_eq!(api.get(&of_order).await["items"].as_array().unwrap().len(), 3);
    let part = format!("/shipments/{}", parts["items"][0]["id"].as_str().unwrap());
    let handed = handed();
    api.expect(Method::POST, &format!("{part}/dispatch"), Some(&handed), 200).await;
    api.refuses(Method::POST, &format!("{part}/split"), &two.to_string(), 409, None).await;
    assert_eq!(api.expect(Method::POST, &format!("{part}/lost"), None, 200).await["status"], "lost");
    let says = [
        "shipment.cancelled.v1",
        "shipment.created.v1",
        "shipment.created.v1",
        "shipment.dispatched.v1",
        "shipment.lost.v1",
    ];
    assert_eq!(api.warehouse.said_of(order).await[3..], says);
    api.warehouse.books_balance().await;
}
