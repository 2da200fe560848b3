//! The HTTP interface over real HTTP and a real database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::server::{Server, order, order_with};
use common::*;
use futures_util::future::join_all;
use order_svc::prices::PricesKnown;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::consumer::Outcome;
use shared_events::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_answered_with_202_and_can_be_looked_at() {
    let server = Server::new().await;
    let answer = server.post(&order()).await;
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let placed: Value = answer.json().await.unwrap();
    let id = placed["id"].as_str().unwrap();
    assert_eq!(location, format!("/api/v1/orders/{id}"));
    assert_eq!(placed["status"], "pending");
    assert_eq!(placed["reason"], Value::Null);
    assert_eq!(placed["customer"], order()["customer"]);
    assert_eq!(placed["delivery_address"], order()["delivery_address"]);
    assert_eq!(placed["total"], json!({"amount": 3098, "currency": "EUR"}));
    let line = json!({"sku": "TEA", "name": "Something", "quantity": 2, "called_off": 0,
        "unit_price": {"amount": 1299, "currency": "EUR"}, "line_total": {"amount": 2598, "currency": "EUR"}});
    assert_eq!(placed["lines"][0], line);
    assert_eq!(placed["waiting_for"]["fact"], "stock.reserved");
    assert_eq!(placed["waiting_for"]["from"], "stock-svc");
    assert_eq!(placed["version"], 1);
    let got = server.get(&format!("/{id}")).await;
    assert_eq!(got.status(), StatusCode::OK);
    assert_eq!(got.json::<Value>().await.unwrap(), placed);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_shows_the_facts_that_were_heard() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear_all(id, &[reserved, authorized]).await;
    let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
    assert_eq!((&shown["status"], &shown["stock"]), (&json!("confirmed"), &json!("reserved")));
    assert_eq!((&shown["payment"], &shown["shipment"]), (&json!("authorized"), &Value::Null));
    assert_eq!(shown["version"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_shows_where_to_follow_its_parcels_and_the_right_number_once_that_is_corrected() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear_all(id, &[reserved, authorized, committed, captured]).await;
    let shipment_id = ShipmentId::new();
    let line = StockLine { sku: "TEA".parse().unwrap(), quantity: 3.try_into().unwrap() };
    server.shop.hear(ShipmentCreated { order_id: id, shipment_id, lines: vec![line] }).await;
    let shown = async || server.get(&format!("/{id}")).await.json::<Value>().await.unwrap();
    let parcel = |status: &str, carrier: Value, number: Value| json!([{"id": shipment_id, "status": status, "carrier": carrier, "tracking_number": number}]);
    assert_eq!(shown().await["shipments"], parcel("created", Value::Null, Value::Null));
    let (carrier, tracking_number): (LineText, LineText) = ("An Post".parse().unwrap(), "AP-1".parse().unwrap());
    let previous_tracking_number = Some(tracking_number.clone());
    server.shop.hear(ShipmentDispatched { order_id: id, shipment_id, carrier, tracking_number }).await;
    let before = shown().await;
    assert_eq!(before["shipments"], parcel("dispatched", json!("An Post"), json!("AP-1")));
    let (carrier, tracking_number) = ("DPD".parse().unwrap(), "D-1".parse().unwrap());
    let corrected =
        ShipmentTrackingCorrected { order_id: id, shipment_id, carrier, tracking_number, previous_tracking_number };
    let record = server.shop.record(corrected);
    for outcome in [Outcome::Applied, Outcome::Duplicate] {
        assert_eq!(server.shop.hear_record(&record).await, outcome);
    }
    let after = shown().await;
    assert_eq!(after["shipments"], parcel("dispatched", json!("DPD"), json!("D-1")));
    assert_eq!((&after["status"], &after["shipment"]), (&before["status"], &json!("dispatched")));
    assert_eq!(server.shop.said(id).await, ["order.placed.v1", "order.confirmed.v1"]);
    server.shop.hear(ShipmentDelivered { order_id: id, shipment_id }).await;
    let end = shown().await;
    assert_eq!((&end["status"], &end["shipments"][0]["tracking_number"]), (&json!("completed"), &json!("D-1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_there_is_not_found() {
    let server = Server::new().await;
    for id in ["0190aaaa-0000-7000-8000-000000000000", "nonsense"] {
        assert_eq!(server.get(&format!("/{id}")).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(server.cancel(id).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_with_its_field_and_nothing_is_written() {
    let server = Server::new().await;
    let many: Vec<Value> = (0..101).map(|n| json!({"sku": format!("SKU-{n}"), "quantity": 1})).collect();
    let cases = [
        ("/lines/0/quantity", json!(0), "lines[0].quantity"),
        ("/lines/1/quantity", json!(-1), "lines[1].quantity"),
        ("/lines/0/quantity", json!(10_001), "lines[0].quantity"),
        ("/lines/0/quantity", json!(u64::MAX), "lines[0].quantity"),
        ("/lines/0/quantity", json!(1e300), "lines[0].quantity"),
        ("/lines/0/quantity", json!(1.5), "lines[0].quantity"),
        ("/lines/0/quantity", json!("2"), "lines[0].quantity"),
        ("/lines/0/sku", json!("no such"), "lines[0].sku"),
        ("/lines/1/sku", json!("UNKNOWN"), "lines[1].sku"),
        ("/lines/1/sku", json!("OLD"), "lines[1].sku"),
        ("/lines/1/sku", json!("TEA"), "lines[1].sku"),
        ("/lines/0/price", json!(1), "lines[0].price"),
        ("/lines", json!([]), "lines"),
        ("/lines", json!(many), "lines"),
        ("/lines", json!({}), "lines"),
        ("/currency", json!("XXQ"), "currency"),
        ("/currency", json!("USD"), "lines[0].sku"),
        ("/customer/email", json!("ann"), "customer.email"),
        ("/customer/email", json!("a@b"), "customer.email"),
        ("/customer/name", json!("\u{0}"), "customer.name"),
        ("/customer/age", json!(7), "customer.age"),
        ("/delivery_address/country", json!("Ireland"), "delivery_address.country"),
        ("/payment_method", json!(null), "payment_method"),
        ("/total", json!(1), "total"),
    ];
    for (pointer, value, field) in cases {
        assert_eq!(server.blames(&order_with(pointer, value)).await, field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_json_is_malformed_and_a_huge_one_too_large() {
    let server = Server::new().await;
    let post = |body: String| server.client.post(&server.url).header("content-type", "application/json").body(body);
    assert_eq!(post("{\"lines\": [".to_owned()).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(post(String::new()).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    let huge = order_with("/customer/name", json!("n".repeat(300 * 1024))).to_string();
    assert_eq!(post(huge).send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_neither_places_an_order_nor_cancels_one() {
    let (server, id) = Server::with_an_order().await;
    let written = async || (server.shop.db.count("orders").await, server.shop.db.count("outbox").await);
    let before = (written().await, server.shop.said(id).await);
    let send = async |path: &str, headers: &[(&str, &str)], body: &str| {
        let request = server.client.post(format!("{}{path}", server.url)).body(body.to_owned());
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .send()
            .await
            .unwrap()
            .status()
    };
    let (form, text) = (("content-type", "application/x-www-form-urlencoded"), ("content-type", "text/plain"));
    for action in ["cancel", "call-off"] {
        let path = format!("/{id}/{action}");
        // Forms, and scripts that send what a browser lets any page send.
        for (headers, body) in [(&[form][..], ""), (&[form], "x=1"), (&[text], ""), (&[text], "{}"), (&[], "{}")] {
            assert_eq!(send(&path, headers, body).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?} {body:?}");
        }
        for page in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
            assert_eq!(send(&path, &[page], "").await, StatusCode::FORBIDDEN, "{page:?}");
        }
    }
    for headers in [&[text][..], &[form], &[]] {
        assert_eq!(send("", headers, &order().to_string()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
    }
    assert_eq!((written().await, server.shop.said(id).await), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_prices_are_known_an_order_is_answered_with_503() {
    let server = Server::before_prices_are_known().await;
    let answer = server.post(&order()).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(server.shop.db.count("orders").await, 0);
    server.prices_known.set();
    assert_eq!(server.post(&order()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_that_were_known_once_are_known_after_a_restart() {
    let shop = Shop::new().await;
    assert!(!PricesKnown::remembered(&shop.db.pool).await.unwrap().get());
    let conn = &mut shop.db.conn().await;
    for _ in 0..2 {
        order_svc::store::products::note_read(conn).await.unwrap();
    }
    assert!(PricesKnown::remembered(&shop.db.pool).await.unwrap().get());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_body_get_the_first_answer_whole() {
    let server = Server::new().await;
    let first = server.post_once("k-1", &order()).await;
    let location = first.headers()["location"].clone();
    let first_body = first.bytes().await.unwrap();
    let id = location.to_str().unwrap().rsplit('/').next().unwrap().parse().unwrap();
    server.shop.hear(reserved(id)).await;
    let again = server.post_once("k-1", &order()).await;
    assert_eq!(again.status(), StatusCode::ACCEPTED);
    assert_eq!(again.headers()["location"], location);
    assert_eq!(again.headers()["content-type"], "application/json");
    assert_eq!(again.bytes().await.unwrap(), first_body);
    assert_eq!(server.shop.db.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_body_is_refused() {
    let server = Server::new().await;
    server.post_once("k-1", &order()).await;
    let answer = server.post_once("k-1", &order_with("/lines/0/quantity", json!(3))).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], "Idempotency-Key");
    assert_eq!(server.shop.db.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_202_is_kept_under_a_key() {
    let server = Server::new().await;
    let refused = server.post_once("k-1", &order_with("/lines/0/sku", json!("UNKNOWN"))).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(server.post_once("k-1", &order()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused() {
    let server = Server::new().await;
    for key in ["", "with a space", &"k".repeat(256)] {
        assert_eq!(server.post_once(key, &order()).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(server.shop.db.count("orders").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_posts_at_once_with_few_keys_make_as_many_orders_as_keys() {
    let server = Server::new().await;
    let posts = (0..200).map(async |n| {
        let key = format!("k-{}", n % 20);
        loop {
            let answer = server.post_once(&key, &order()).await;
            match answer.status() {
                StatusCode::ACCEPTED => return answer.text().await.unwrap(),
                StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE => tokio::task::yield_now().await,
                other => panic!("{other}"),
            }
        }
    });
    let bodies: BTreeSet<String> = join_all(posts).await.into_iter().collect();
    assert_eq!(bodies.len(), 20);
    assert_eq!(server.shop.db.count("orders").await, 20);
    assert_eq!(server.shop.db.count("outbox").await, 20);
    assert_eq!(server.shop.db.count("idempotency_keys").await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_flight_is_answered_with_409_and_holds_up_nobody() {
    use diesel_async::{AsyncConnection, RunQueryDsl};
    let server = Server::new().await;
    let mut other = server.shop.db.conn().await;
    let lock = "select pg_advisory_xact_lock(hashtextextended('idempotency-key k-1', 0))";
    other
        .transaction(async |conn| {
            diesel::sql_query(lock).execute(conn).await?;
            assert_eq!(server.post_once("k-1", &order()).await.status(), StatusCode::CONFLICT);
            assert_eq!(server.post_once("k-2", &order()).await.status(), StatusCode::ACCEPTED);
            diesel::QueryResult::Ok(())
        })
        .await
        .unwrap();
    assert_eq!(server.post_once("k-1", &order()).await.status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancelled_twice_is_answered_with_202_again() {
    let server = Server::new().await;
    let placed = server.placed().await;
    let id = placed["id"].as_str().unwrap();
    for _ in 0..2 {
        let answer = server.cancel(id).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        let order: Value = answer.json().await.unwrap();
        assert_eq!((&order["status"], &order["reason"]), (&json!("cancelling"), &json!("customer")));
    }
    let said = server.shop.said(id.parse().unwrap()).await;
    assert_eq!(said, ["order.placed.v1", "order.cancel_requested.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_ended_otherwise_is_not_cancelled() {
    let (server, id) = Server::with_an_order().await;
    server.shop.hear(short(id)).await;
    assert_eq!(server.cancel(&id.to_string()).await.status(), StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_lead_where_the_order_lets_one_go() {
    let server = Server::new().await;
    let links = async |id: &str| -> BTreeSet<String> {
        let shown: Value = server.get(&format!("/{id}")).await.json().await.unwrap();
        shown["links"].as_object().unwrap().keys().cloned().collect()
    };
    let of = |names: &[&str]| -> BTreeSet<String> {
        names.iter().chain(&["self", "history", "events"]).map(|name| (*name).to_owned()).collect()
    };
    let id = server.shop.place().await;
    assert_eq!(links(&id.to_string()).await, of(&["cancel", "delivery_address"]));
    server.shop.hear(short(id)).await;
    assert_eq!(links(&id.to_string()).await, of(&[]));
    let other = server.shop.place().await.to_string();
    assert_eq!(server.cancel(&other).await.status(), StatusCode::ACCEPTED);
    assert_eq!(links(&other).await, of(&["cancel"]), "to cancel again is nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_pages_through_the_newest_first() {
    let server = Server::new().await;
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(server.placed().await["id"].clone());
    }
    placed.reverse();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = server.get(&format!("?limit=2{cursor}")).await.json().await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|order| order["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, placed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_filtered_by_customer_and_status() {
    let server = Server::new().await;
    let (short_one, pending) = (server.shop.place().await, server.shop.place().await);
    server.shop.hear(short(short_one)).await;
    server.post(&order_with("/customer/id", json!("c-2"))).await;
    let ids = async |query: &str| -> Vec<String> {
        let page: Value = server.get(query).await.json().await.unwrap();
        page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("?customer_id=c-1001&status=pending").await, [pending.to_string()]);
    assert_eq!(ids("?status=cancelled").await, [short_one.to_string()]);
    assert_eq!(ids("?customer_id=c-2").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_can_not_be_given_says_which_parameter_is_wrong() {
    let server = Server::new().await;
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=1001", "limit"),
        ("?cursor=x", "cursor"),
        ("?status=x", "status"),
        ("?customer_id=%20", "customer_id"),
        ("?colour=red", "colour"),
    ] {
        let answer = server.get(query).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], field);
    }
    let id = server.shop.place().await;
    for (path, wrong) in [
        ("?limit=0&cursor=x&status=x".to_owned(), &["limit", "cursor", "status"][..]),
        (format!("/{id}/history?cursor=x&limit=0"), &["cursor", "limit"]),
    ] {
        let problem: Value = server.get(&path).await.json().await.unwrap();
        let errors = problem["errors"].as_array().unwrap();
        let fields: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(fields, wrong, "all at once: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_forgotten_after_a_day_and_not_before() {
    let server = Server::new().await;
    server.post_once("k-1", &order()).await;
    server.post_once("k-2", &order()).await;
    let age = "update idempotency_keys set created_at = now() - interval '25 hours' where key = 'k-1'";
    server.shop.db.run(age).await;
    service_kit::testing::prune_all(&server.shop.db.pool, &order_svc::housekeeping::times_to_live(DAY)).await;
    assert_eq!(server.shop.db.count("idempotency_keys").await, 1);
    assert_eq!(server.shop.db.count("idempotency_keys where key = 'k-2'").await, 1);
}

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_what_the_service_does_and_its_examples_are_taken() {
    let server = Server::new().await;
    server.shop.hear(product("TEA-EARL-GREY-250", 12_99, ProductStatus::Active)).await;
    server.document_is_right(order_svc::http::ACCESS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_had_is_told_line_by_line_with_a_code() {
    let server = Server::new().await;
    let mut request = order();
    request["lines"] = json!([{"sku": "NO-SUCH", "quantity": 1}, {"sku": "NONE-EITHER", "quantity": 1}]);
    let answer = server.post(&request).await;
    assert_eq!(answer.status(), 422);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "unknown_sku");
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["lines[0].sku", "lines[1].sku"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_has_an_address_with_a_domain_in_any_letters_or_a_quoted_name() {
    let server = Server::new().await;
    for (given, kept) in [("ann@müller.de", "ann@xn--mller-kva.de"), ("\"a b\"@b.co", "\"a b\"@b.co")] {
        let mut request = order();
        request["customer"]["email"] = json!(given);
        let answer = server.post(&request).await;
        assert_eq!(answer.status(), 202, "{given}");
        assert_eq!(answer.json::<Value>().await.unwrap()["customer"]["email"], kept);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_make_no_order_whichever_comes_first() {
    let server = Server::new().await;
    for keys in [["a", "b"], ["b", "a"]] {
        let request = server.client.post(&server.url).json(&order());
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 422);
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["code"], "duplicate_field");
    }
    let list: Value = server.client.get(&server.url).send().await.unwrap().json().await.unwrap();
    assert_eq!(list["items"], json!([]));
}
