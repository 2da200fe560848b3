//! A customer is forgotten: what goes, what stays, and what races with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::server::{Server, order};
use common::*;
use order_svc::commands::{self, Forgotten, MOST_AT_ONCE};
use order_svc::http::ACCESS;
use quadrille_testing::issuer::{Issuer, Signer};
use quadrille_testing::{OutboxRow, outbox, tables_that_name_beside_the_outbox};
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::auth::GuestLinks;
use service_kit::consumer::{Outcome, Why};
use shared_events::*;

const ZOE: &str = "c-7001";
const PERSON: [&str; 4] = ["Zoë Quill", "zoe.quill@example.org", "17 Vellum Row", "3 Parchment Way"];

/// An order of Zoë's.
fn zoes() -> Value {
    let mut order = order();
    order["customer"] = json!({"id": ZOE, "name": PERSON[0], "email": PERSON[1]});
    order["delivery_address"]["line1"] = json!(PERSON[2]);
    order
}

fn elsewhere() -> Value {
    json!({"line1": PERSON[3], "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"})
}

fn id_of(order: &Value) -> OrderId {
    order["id"].as_str().unwrap().parse().unwrap()
}

async fn placed(server: &Server) -> OrderId {
    let answer = server.post(&zoes()).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    id_of(&answer.json().await.unwrap())
}

const COMPLETES: [Fact; 7] = [reserved, authorized, committed, captured, parcel_created, dispatched, delivered];

async fn completed(server: &Server) -> OrderId {
    let id = placed(server).await;
    server.shop.hear_all(id, &COMPLETES).await;
    assert_eq!(server.shop.status(id).await, "completed");
    id
}

async fn cancelled(server: &Server) -> OrderId {
    let id = placed(server).await;
    server.shop.hear(short(id)).await;
    id
}

async fn forget(server: &Server) -> Value {
    let asked = server.client.post(format!("{}/api/v1/customers/{ZOE}/forget", server.root)).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    asked.json().await.unwrap()
}

async fn shown(server: &Server, id: OrderId) -> Value {
    server.get(&format!("/{id}")).await.json().await.unwrap()
}

/// The tables that tell of the person.
async fn told_in(server: &Server) -> BTreeSet<String> {
    tables_that_name_beside_the_outbox(&server.shop.db, &PERSON).await
}

fn nowhere() -> BTreeSet<String> {
    BTreeSet::new()
}

/// How often this was said of the order.
async fn times_said(server: &Server, id: OrderId, event_type: &str) -> usize {
    server.shop.said(id).await.iter().filter(|said| *said == event_type).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_has_ended_loses_its_person_in_every_table_and_keeps_what_it_cost() {
    let server = Server::new().await;
    let moved = placed(&server).await;
    let url = format!("{}/{moved}/delivery-address", server.url);
    assert_eq!(server.client.put(url).json(&elsewhere()).send().await.unwrap().status(), StatusCode::OK);
    server.shop.hear_all(moved, &COMPLETES).await;
    let ended = cancelled(&server).await;
    let others = server.placed().await;
    let before = shown(&server, moved).await;
    assert_eq!(told_in(&server).await, BTreeSet::from(["orders".to_owned(), "redirections".to_owned()]));

    let told = forget(&server).await;
    let left = json!({"ended_orders": 0, "orders_going_on": 0, "oldest": []});
    assert_eq!(told, json!({"customer_id": ZOE, "profile": false, "orders": 2, "left": left}));

    assert_eq!(told_in(&server).await, nowhere());
    for id in [moved, ended] {
        assert_eq!(
            server.shop.said(id).await.last().unwrap(),
            "order.forgotten.v1",
            "behind all else that is said of it"
        );
    }
    let after = shown(&server, moved).await;
    assert_eq!(after["customer"], json!({"id": ZOE, "name": null, "email": null}));
    assert_eq!((&after["delivery_address"], &after["requested_address"]), (&Value::Null, &Value::Null));
    for field in ["status", "lines", "total", "currency", "stock", "payment", "shipments", "placed_at"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(before["forgotten_at"].is_null() && after["forgotten_at"].is_string(), "{after}");
    let history: Value = server.get(&format!("/{moved}/history")).await.json().await.unwrap();
    assert_eq!(history["items"].as_array().unwrap().last().unwrap()["type"], "order.forgotten.v1");
    let other = shown(&server, id_of(&others)).await;
    assert_eq!(other["customer"]["name"], "Ann Lee", "nobody else is forgotten");
    let list: Value = server.get(&format!("?customer_id={ZOE}")).await.json().await.unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "they are still somebody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_again_nothing_more_is_said() {
    let server = Server::new().await;
    let id = completed(&server).await;
    assert_eq!(forget(&server).await["orders"], 1);
    let version = server.shop.order(id).await.version;
    assert_eq!(forget(&server).await["orders"], 0);
    assert_eq!(server.shop.order(id).await.version, version);
    assert_eq!(times_said(&server, id, "order.forgotten.v1").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_goes_on_keeps_its_person_is_named_and_goes_once_it_has_ended() {
    let server = Server::new().await;
    let (ended, on) = (cancelled(&server).await, placed(&server).await);
    let told = forget(&server).await;
    let oldest = json!([{"id": on, "status": "pending"}]);
    assert_eq!(told["left"], json!({"ended_orders": 0, "orders_going_on": 1, "oldest": oldest}));
    assert_eq!(shown(&server, ended).await["customer"]["name"], Value::Null);
    assert_eq!(shown(&server, on).await["delivery_address"]["line1"], PERSON[2], "a parcel needs an address");
    server.shop.hear_all(on, &COMPLETES).await;
    assert_eq!(forget(&server).await["orders"], 1);
    assert_eq!(told_in(&server).await, nowhere());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_stored_under_a_key_names_nobody_any_more() {
    let server = Server::new().await;
    let first: Value = server.post_once("k-1", &zoes()).await.json().await.unwrap();
    server.shop.hear(short(id_of(&first))).await;
    assert_eq!(told_in(&server).await, BTreeSet::from(["orders".to_owned(), "idempotency_keys".to_owned()]));
    forget(&server).await;
    assert_eq!(told_in(&server).await, nowhere());
    let again = server.post_once("k-1", &zoes()).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED, "the request still has one effect");
    let again: Value = again.json().await.unwrap();
    assert_eq!((&again["id"], &again["customer"]["name"]), (&first["id"], &Value::Null));
    assert_eq!((&again["delivery_address"], &again["total"]), (&Value::Null, &first["total"]));
    assert_eq!(server.shop.db.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_goes_and_whoever_hears_of_it_next_hears_the_newest() {
    let server = Server::new().await;
    let url = format!("{}/api/v1/customers/{ZOE}", server.root);
    let profile =
        json!({"name": PERSON[0], "email": PERSON[1], "phone": "+353861234567", "delivery_address": elsewhere()});
    let put = async || server.client.put(&url).json(&profile).send().await.unwrap();
    assert!(put().await.status().is_success());
    assert_eq!(forget(&server).await["profile"], true);
    assert_eq!(forget(&server).await["profile"], false, "it was there once");
    assert_eq!(told_in(&server).await, nowhere());
    assert_eq!(server.client.get(&url).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    assert!(put().await.status().is_success(), "whoever comes back is welcome");
    let said = outbox(&server.shop.db).await;
    let said = said.iter().filter(|row| row.topic == "customers.v1").map(|row| (row.sequence(), row.event_type()));
    let (changed, forgotten) = ("customer.changed.v1", "customer.forgotten.v1");
    assert_eq!(said.collect::<Vec<_>>(), [(1, changed), (2, forgotten), (3, changed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_never_there_is_forgotten_at_once_and_leaves_no_trace() {
    let server = Server::new().await;
    let told = forget(&server).await;
    assert_eq!((&told["profile"], &told["orders"]), (&json!(false), &json!(0)));
    assert_eq!(server.shop.db.count("customers").await + server.shop.db.count("outbox").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_operators_forget_and_it_is_on_record_without_the_person() {
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let guests = GuestLinks::new(&"what signs the links of guests here".into());
    let server = Server::guarded(issuer.guard(ACCESS).await, guests).await;
    let token = |who: &str, role: &str| issuer.token(who, &[role]);
    let asked = async |who: &str, role: &str| {
        let url = format!("{}/api/v1/customers/guest-7001/forget", server.root);
        server.client.post(url).bearer_auth(token(who, role)).send().await.unwrap().status().as_u16()
    };
    let mut order = zoes();
    order["customer"]["id"] = json!("guest-7001");
    let order: Value = server.post(&order).await.json().await.unwrap();
    let id = id_of(&order);
    let link = format!("{}{}", server.root, order["links"]["guest"].as_str().unwrap());
    let linked = async |part: &str| {
        server.client.get(link.replace('?', &format!("{part}?"))).send().await.unwrap().status().as_u16()
    };
    server.shop.hear(short(id)).await;
    assert_eq!([asked("sam", "staff").await, asked("guest-7001", "customer").await], [403; 2]);
    assert_eq!([linked("").await, linked("/history").await], [200; 2]);
    assert_eq!(asked("olga", "operator").await, 200);
    assert_eq!([linked("").await, linked("/history").await], [404; 2], "a guest's link ends with the guest");
    let actions = "select method, path, sub, status from actions";
    let actions: Vec<(String, String, String, i64)> = server.shop.db.rows(actions).await;
    let path = "/api/v1/customers/guest-7001/forget".to_owned();
    assert_eq!(actions, [("POST".to_owned(), path, "olga".to_owned(), 200)]);
    let said = outbox(&server.shop.db).await;
    let forgotten = said.iter().find(|row| row.event_type() == "order.forgotten.v1").unwrap();
    assert_eq!(forgotten.headers[header::ACTOR], "olga");
    assert_eq!(told_in(&server).await, nowhere());
}

/// Zoë has placed so many orders, and all were cancelled.
async fn many(server: &Server, orders: usize) {
    let first = cancelled(server).await;
    // as many rows as this one, under ids of their own
    server
        .shop
        .db
        .run(format!(
            "insert into orders select (r).* from (select jsonb_populate_record(o, jsonb_build_object( \
                 'id', gen_random_uuid(), 'placed', o.placed)) as r from orders o, generate_series(2, {orders}) \
                 where o.id = '{first}') copies; \
             update orders set placed = jsonb_set(placed, '{{order_id}}', to_jsonb(id)); \
             insert into order_history select (r).* from (select jsonb_populate_record(h, jsonb_build_object( \
                 'order_id', o.id)) as r from order_history h, orders o where o.id <> '{first}') copies"
        ))
        .await;
}

async fn forget_directly(server: &Server) -> Forgotten {
    commands::forget_customer(&server.shop.db.pool, &ZOE.parse().unwrap()).await.unwrap()
}

/// How often each order was said to be forgotten: 1 each, if all is well.
async fn announced(server: &Server) -> (i64, i64) {
    let once = "select count(*) as said, count(distinct key) as orders from outbox where headers::text like '%order.forgotten.v1%'";
    server.shop.db.row(once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_orders_take_several_requests_each_of_a_bounded_number() {
    let server = Server::new().await;
    many(&server, 10_000).await;
    let mut requests = vec![];
    loop {
        let Forgotten { orders, left, .. } = forget_directly(&server).await;
        requests.push((orders, left.ended));
        if left.ended == 0 {
            break;
        }
    }
    assert_eq!(requests, [2_000, 4_000, 6_000, 8_000, 10_000].map(|done| (MOST_AT_ONCE, 10_000 - done)));
    assert_eq!(announced(&server).await, (10_000, 10_000));
    assert_eq!(told_in(&server).await, nowhere());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_half_way_goes_on_where_it_ended() {
    let server = Server::new().await;
    many(&server, 250).await;
    let last = "select id::text as id from orders order by id desc limit 1";
    let last: String = server.shop.db.row(last).await;
    let cut = format!("alter table orders add constraint cut check (forgotten_at is null or id <> '{last}')");
    server.shop.db.run(cut).await;
    let failed = commands::forget_customer(&server.shop.db.pool, &ZOE.parse().unwrap()).await.unwrap_err();
    assert!(failed.to_string().contains("\"cut\""), "{failed}");
    assert_eq!(announced(&server).await, (200, 200), "whole batches, each with its events");
    server.shop.db.run("alter table orders drop constraint cut").await;
    assert_eq!(forget_directly(&server).await.orders, 50);
    assert_eq!(announced(&server).await, (250, 250));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_forgotten_meanwhile_of_two_who_ask_at_once_each_order_is_taken_by_one() {
    let server = Server::new().await;
    many(&server, 300).await;
    let (one, other) = tokio::join!(forget_directly(&server), forget_directly(&server));
    assert_eq!(one.orders + other.orders, 300);
    assert_eq!(announced(&server).await, (300, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_forgotten_meanwhile_a_late_fact_is_recorded_and_brings_nobody_back() {
    let server = Server::new().await;
    let id = placed(&server).await;
    server.shop.hear_all(id, &[reserved, authorized, committed, captured, parcel_created]).await;
    let url = format!("{}/{id}/delivery-address", server.url);
    assert_eq!(server.client.put(&url).json(&elsewhere()).send().await.unwrap().status(), StatusCode::ACCEPTED);
    server.shop.hear_all(id, &[dispatched, delivered]).await;
    assert_eq!(server.shop.status(id).await, "completed");
    forget(&server).await;
    // stock-svc's answer comes late: the address that was asked for must not be said behind order.forgotten
    let decided = server.shop.hear(StockAddressDecided { order_id: id, taken: true, kept: vec![] }).await;
    assert!(matches!(decided, Outcome::Ignored(Why::Refused(_))), "{decided:?}");
    assert_eq!(server.shop.hear(refunded(id)).await, Outcome::Applied, "staff may still give money back");
    let shown = shown(&server, id).await;
    assert_eq!((&shown["payment"], &shown["customer"]["name"]), (&json!("refunded"), &Value::Null));
    assert_eq!(server.shop.said(id).await.last().unwrap(), "order.forgotten.v1");
    assert_eq!(server.client.put(&url).json(&elsewhere()).send().await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(told_in(&server).await, nowhere());
}

#[tokio::test(flavor = "multi_thread")]
async fn race_forgotten_meanwhile_an_order_that_is_placed_during_it_is_left_or_comes_after() {
    let server = Server::new().await;
    many(&server, 150).await;
    let (forgotten, new) = tokio::join!(forget_directly(&server), placed(&server));
    assert_eq!(forgotten.orders, 150);
    assert_eq!(shown(&server, new).await["customer"]["name"], PERSON[0]);
    let left = forget_directly(&server).await.left;
    assert_eq!((left.going_on, left.oldest), (1, vec![(new, "pending".to_owned())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_build_can_still_read_an_order_that_was_forgotten() {
    let server = Server::new().await;
    let id = completed(&server).await;
    forget(&server).await;
    let placed: Value = server.shop.db.row(format!("select placed from orders where id = '{id}'")).await;
    let placed: OrderPlaced = serde_json::from_value(placed).unwrap();
    assert_eq!((placed.customer.id.as_str(), placed.total), (ZOE, total()));
    let said = outbox(&server.shop.db).await;
    let last = said.iter().rfind(|row| row.key == id.to_string()).map(OutboxRow::event).unwrap();
    assert_eq!(last, OrderForgotten { order_id: id, customer_id: ZOE.parse().unwrap() }.into());
}
