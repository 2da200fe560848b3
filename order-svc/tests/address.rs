//! An order that has not left yet can go elsewhere.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::{Server, order};
use common::*;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use shared_events::OrderId;

async fn redirect(server: &Server, id: OrderId, address: &Value) -> Response {
    server.client.put(format!("{}/{id}/delivery-address", server.url)).json(address).send().await.unwrap()
}

fn elsewhere() -> Value {
    json!({"line1": "2 Quay St", "line2": "c/o Lee", "city": "Cork", "postal_code": "T12", "country": "IE"})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_has_not_left_goes_elsewhere_and_says_so_once() {
    let server = Server::new().await;
    let id = server.shop.place().await;
    server.shop.hear(reserved(id)).await;
    server.shop.hear(authorized(id)).await;
    for _ in 0..2 {
        let answer = redirect(&server, id, &elsewhere()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let order: Value = answer.json().await.unwrap();
        assert_eq!((&order["delivery_address"], &order["status"]), (&elsewhere(), &json!("confirmed")));
        assert_eq!(order["version"], 4);
    }
    let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
    assert_eq!(shown["delivery_address"], elsewhere());
    let said = server.shop.said(id).await;
    assert_eq!(said, ["order.placed.v1", "order.confirmed.v1", "order.address_changed.v1"]);
    let history: Value = server.get(&format!("/{id}/history")).await.json().await.unwrap();
    assert_eq!(history["items"][4]["type"], "order.address_changed.v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_has_left_or_is_to_end_stays_with_its_address() {
    let server = Server::new().await;
    let (shipped, ended, cancelling) =
        (server.shop.place().await, server.shop.place().await, server.shop.place().await);
    for fact in [reserved, authorized, committed, captured, parcel_created, dispatched] as [Fact; 6] {
        server.shop.hear(fact(shipped)).await;
    }
    server.shop.hear(short(ended)).await;
    server.cancel(&cancelling.to_string()).await;
    for id in [shipped, ended, cancelling] {
        let version = server.shop.order(id).await.version;
        assert_eq!(redirect(&server, id, &elsewhere()).await.status(), StatusCode::CONFLICT);
        let after = server.shop.order(id).await;
        assert_eq!((after.version, after.delivery_address), (version, wish(&[]).delivery_address));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused_with_its_field() {
    let server = Server::new().await;
    let id = server.shop.place().await;
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
async fn a_change_of_address_and_a_dispatch_at_the_same_time_leave_one_winner() {
    let server = Server::new().await;
    for _ in 0..10 {
        let id = server.shop.place().await;
        for fact in [reserved, authorized, committed, captured, parcel_created] as [Fact; 5] {
            server.shop.hear(fact(id)).await;
        }
        let dispatched = server.shop.record(dispatched(id));
        let address = elsewhere();
        let (answer, _heard) = tokio::join!(redirect(&server, id, &address), server.shop.hear_record(&dispatched));
        let changed = server.shop.order(id).await.delivery_address != wish(&[]).delivery_address;
        assert_eq!(changed, answer.status() == StatusCode::OK);
        assert_eq!(server.shop.said(id).await.len(), if changed { 3 } else { 2 });
    }
}
