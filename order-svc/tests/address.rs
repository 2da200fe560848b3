#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::{Server, order};
use common::*;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use service_kit::consumer::{Outcome, Why};
use shared_events::*;

async fn redirect(server: &Server, id: OrderId, address: &Value) -> Response {
    server.client.put(format!("{}/{id}/delivery-address", server.url)).json(address).send().await.unwrap()
}

fn elsewhere() -> Value {
    json!({"line1": "2 Quay St", "line2": "c/o Lee", "city": "Cork", "postal_code": "T12", "country": "IE"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_confirmed_goes_elsewhere_and_says_so_once() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear(reserved(id)).await;
    for _ in 0..2 {
        let answer = redirect(&server, id, &elsewhere()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let order: Value = answer.json().await.unwrap();
        assert_eq!((&order["delivery_address"], &order["status"]), (&elsewhere(), &json!("pending")));
        assert_eq!((&order["requested_address"], &order["version"]), (&Value::Null, &json!(3)));
    }
    let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
    assert_eq!(shown["delivery_address"], elsewhere());
    assert_eq!(server.shop.said(id).await, ["order.placed.v1", "order.address_changed.v1"]);
    let history: Value = server.get(&format!("/{id}/history")).await.json().await.unwrap();
    assert_eq!(history["items"][2]["type"], "order.address_changed.v1");
}

fn decided(order_id: OrderId, taken: bool, kept: &[ShipmentId]) -> Event {
    StockAddressDecided { order_id, taken, kept: kept.to_vec() }.into()
}

/// A confirmed order that was asked to go elsewhere.
async fn asked(server: &Server) -> OrderId {
    let id = server.shop.place().await;
    server.shop.hear_all(id, &[reserved, authorized]).await;
    for _ in 0..2 {
        let answer = redirect(server, id, &elsewhere()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let order: Value = answer.json().await.unwrap();
        assert_eq!((&order["delivery_address"], &order["requested_address"]), (&home(), &elsewhere()));
        assert_eq!(order["version"], 4);
    }
    id
}

fn home() -> Value {
    order()["delivery_address"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_order_asks_the_warehouse_and_goes_where_that_says() {
    let server = Server::new().await;
    let (taken, refused, half) = (asked(&server).await, asked(&server).await, asked(&server).await);
    let gone = ShipmentId(refused.0);
    let mut other = elsewhere();
    other["line1"] = json!("3 Quay St");
    assert_eq!(redirect(&server, taken, &other).await.status(), StatusCode::CONFLICT, "one at a time");
    server.shop.hear(decided(taken, true, &[])).await;
    server.shop.hear(decided(refused, false, &[gone])).await;
    server.shop.hear(decided(half, true, &[gone])).await;
    let (changed, kept) = ("order.address_changed.v1", "order.address_change_refused.v1");
    for (id, address, says) in [
        (taken, elsewhere(), &[changed][..]),
        (refused, home(), &[kept][..]),
        (half, elsewhere(), &[changed, kept][..]),
    ] {
        let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
        assert_eq!((&shown["delivery_address"], &shown["requested_address"]), (&address, &Value::Null));
        assert_eq!(server.shop.said(id).await[2..], [&["order.address_change_requested.v1"][..], says].concat());
    }
    let again = server.shop.hear(decided(taken, false, &[])).await;
    assert!(matches!(again, Outcome::Ignored(Why::Refused(_))), "it was not asked: {again:?}");
    assert_eq!(redirect(&server, taken, &other).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_left_of_an_order_may_still_go_elsewhere() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear_all(id, &[reserved, authorized, committed, captured]).await;
    let line = StockLine { sku: "TEA".parse().unwrap(), quantity: 1.try_into().unwrap() };
    server.shop.hear(ShipmentCreated { order_id: id, shipment_id: ShipmentId(id.0), lines: vec![line] }).await;
    server.shop.hear(dispatched(id)).await;
    assert_eq!(server.shop.status(id).await, "partially_shipped");
    assert_eq!(redirect(&server, id, &elsewhere()).await.status(), StatusCode::ACCEPTED);
    server.shop.hear(ShipmentReaddressed { order_id: id, shipment_id: ShipmentId::new() }).await;
    server.shop.hear(decided(id, true, &[ShipmentId(id.0)])).await;
    assert_eq!(server.shop.status(id).await, "partially_shipped");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_cancelled_meanwhile_says_no_more_of_its_address() {
    let server = Server::new().await;
    let id = asked(&server).await;
    server.cancel(&id.to_string()).await;
    server.shop.hear_all(id, &[released, voided]).await;
    assert_eq!(server.shop.status(id).await, "cancelled customer");
    server.shop.hear(decided(id, false, &[])).await;
    assert_eq!(server.shop.said(id).await.last().unwrap(), "order.cancelled.v1");
    let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
    assert_eq!((&shown["delivery_address"], &shown["requested_address"]), (&home(), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_has_left_or_is_to_end_stays_with_its_address() {
    let server = Server::new().await;
    let (shipped, ended, cancelling) =
        (server.shop.place().await, server.shop.place().await, server.shop.place().await);
    server.shop.hear_all(shipped, &[reserved, authorized, committed, captured, parcel_created, dispatched]).await;
    server.shop.hear(short(ended)).await;
    server.cancel(&cancelling.to_string()).await;
    for id in [shipped, ended, cancelling] {
        let version = server.shop.order(id).await.version;
        assert_eq!(redirect(&server, id, &elsewhere()).await.status(), StatusCode::CONFLICT);
        let after = server.shop.order(id).await;
        assert_eq!((after.version, after.destination.address), (version, quadrille_testing::address("1 Quay St")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused_with_its_field() {
    let (server, id) = Server::with_an_order().await;
    let mut wrong = elsewhere();
    for (field, value) in [("country", json!("Ireland")), ("city", json!("")), ("door", json!("left"))] {
        wrong[field] = value;
        let answer = redirect(&server, id, &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], field);
        wrong = elsewhere();
    }
    assert_eq!(redirect(&server, OrderId::new(), &elsewhere()).await.status(), StatusCode::NOT_FOUND);
    let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
    assert_eq!(shown["delivery_address"], order()["delivery_address"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_address_races_dispatch_and_the_warehouse_is_asked_unless_all_was_heard_to_have_left() {
    let server = Server::new().await;
    for _ in 0..10 {
        let id = server.shop.place().await;
        server.shop.hear_all(id, &[reserved, authorized, committed, captured, parcel_created]).await;
        let dispatched = server.shop.record(dispatched(id));
        let address = elsewhere();
        let (answer, _heard) = tokio::join!(redirect(&server, id, &address), server.shop.hear_record(&dispatched));
        let asked = server.shop.order(id).await.destination.asked.is_some();
        assert_eq!(answer.status(), if asked { StatusCode::ACCEPTED } else { StatusCode::CONFLICT });
        assert_eq!(server.shop.said(id).await.len(), if asked { 3 } else { 2 });
        server.shop.hear(decided(id, false, &[ShipmentId(id.0)])).await;
        let said = server.shop.said(id).await;
        assert_eq!(said.contains(&"order.address_change_refused.v1".to_owned()), asked, "{said:?}");
        assert_eq!(server.shop.order(id).await.destination.address, quadrille_testing::address("1 Quay St"));
    }
}
