//! An order's customer is forgotten: no address of theirs stays, and nothing else changes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod api;
mod common;

use std::collections::BTreeSet;

use api::Api;
use common::*;
use quadrille_testing::{address, record_numbered, tables_that_name_beside_the_outbox};
use serde_json::{Value, json};
use service_kit::consumer::Outcome;
use shared_events::*;
use stock_svc::commands::Step;

const STREETS: [&str; 2] = ["17 Vellum Row", "3 Parchment Way"];

fn ordered(order_id: OrderId, lines: &[(&str, i64)]) -> OrderPlaced {
    OrderPlaced { delivery_address: address(STREETS[0]), ..placed(order_id, lines) }
}

fn moved(order_id: OrderId) -> OrderAddressChanged {
    OrderAddressChanged { order_id, delivery_address: address(STREETS[1]) }
}

fn forgotten(order_id: OrderId) -> OrderForgotten {
    OrderForgotten { order_id, customer_id: "c-7001".parse().unwrap() }
}

async fn named_in(warehouse: &Warehouse) -> BTreeSet<String> {
    tables_that_name_beside_the_outbox(&warehouse.db, &STREETS).await
}

fn tables<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_table_keeps_the_address_of_whoever_is_forgotten_and_their_parcels_stay() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let (sent, never_paid) = (OrderId::new(), OrderId::new());
    for order in [sent, never_paid] {
        api.warehouse.hears(ordered(order, &[("TEA", 3)])).await;
    }
    api.warehouse.hears(confirmed(sent)).await;
    api.warehouse.hears(captured(sent)).await;
    let shipment = api.warehouse.shipment_of(sent).await;
    let part = Step::Split { lines: quadrille_testing::lines(&[("TEA", 1)]) };
    let parts = api.warehouse.moves(shipment, part).await.unwrap();
    for (_, part) in &parts[1..] {
        api.warehouse.moves(part.id, dispatched()).await.unwrap();
        api.warehouse.moves(part.id, Step::Deliver).await.unwrap();
    }
    let path = format!("/shipments/{}/return", parts[1].1.id);
    let comes_back = json!({"lines": [{"sku": "TEA", "quantity": 1}]});
    let (status, returned) = api.once("k-1", &path, &comes_back).await;
    assert_eq!((status, &returned["delivery_address"]["line1"]), (200, &json!(STREETS[0])));
    assert_eq!(named_in(&api.warehouse).await, tables(["orders", "shipments", "idempotency_keys"]));
    let shown = async || api.get(&format!("/shipments?order_id={sent}")).await;
    let (before, said) = (shown().await, api.warehouse.said().await.len());

    for order in [sent, never_paid] {
        assert_eq!(api.warehouse.hears(forgotten(order)).await, Outcome::Applied);
    }
    assert_eq!(named_in(&api.warehouse).await, tables([]));
    assert_eq!(api.warehouse.said().await.len(), said, "nothing follows from it");
    let mut expected = before;
    for parcel in expected["items"].as_array_mut().unwrap() {
        parcel["delivery_address"] = Value::Null;
    }
    assert_eq!(shown().await, expected, "parcels, lines and times stay");
    let (status, again) = api.once("k-1", &path, &comes_back).await;
    assert_eq!((status, &again["id"], &again["delivery_address"]), (200, &returned["id"], &Value::Null));
    api.warehouse.books_balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_order_s_address_and_response_stay() {
    let api = Api::over(Warehouse::with(&[("TEA", 10)]).await).await;
    let (gone, stays) = (api.warehouse.paid(&[("TEA", 1)]).await, OrderId::new());
    api.warehouse.hears(ordered(stays, &[("TEA", 1)])).await;
    api.warehouse.hears(forgotten(gone)).await;
    assert_eq!(named_in(&api.warehouse).await, tables(["orders"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_forgotten_meanwhile_what_is_delivered_again_brings_no_address_back() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let order = OrderId::new();
    let at = chrono::Utc::now();
    let records = [Event::from(ordered(order, &[("TEA", 1)])), moved(order).into(), forgotten(order).into()];
    // with new ids, as after the inbox has forgotten them
    let said = || (1..).zip(&records).map(|(sequence, event)| record_numbered(event, sequence, at));
    for record in said() {
        assert_eq!(warehouse.hears_record(&record).await, Outcome::Applied);
    }
    assert_eq!(named_in(&warehouse).await, tables([]));
    for record in said() {
        warehouse.hears_record(&record).await;
    }
    assert_eq!(named_in(&warehouse).await, tables([]));
    assert_eq!(warehouse.said_of(order).await, ["stock.reserved.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_the_topic_ends_without_the_person() {
    let warehouse = Warehouse::with(&[("TEA", 10)]).await;
    let order = OrderId::new();
    warehouse.hears(captured(order)).await;
    let told: [Event; 4] =
        [ordered(order, &[("TEA", 1)]).into(), confirmed(order).into(), moved(order).into(), forgotten(order).into()];
    for event in told {
        warehouse.hears(event).await;
    }
    assert_eq!(named_in(&warehouse).await, tables([]));
}
