//! Orders are found by what people know of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::{Server, order_with};
use common::tokens;
use common::*;
use order_svc::store::search::{self, Filter};
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_events::*;

/// The ids of the orders that a list has.
async fn ids(server: &Server, query: &str) -> Vec<String> {
    let answer = server.get(query).await;
    assert_eq!(answer.status(), StatusCode::OK, "{query}");
    let page: Value = answer.json().await.unwrap();
    page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

async fn placed_with(server: &Server, pointer: &str, value: Value) -> Value {
    server.post(&order_with(pointer, value)).await.json().await.unwrap()
}

fn text<'a>(order: &'a Value, field: &str) -> &'a str {
    order[field].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_each_thing_that_people_know_of_it_and_by_the_one_box() {
    let server = Server::new().await;
    let usual = server.placed().await;
    let bens = placed_with(&server, "/customer", json!({"id": "c-2", "name": "Ben", "email": "Ben@Example.com"})).await;
    let mugs = placed_with(&server, "/lines", json!([{"sku": "MUG", "quantity": 1}])).await;
    let [usual_id, bens_id, mugs_id] = [&usual, &bens, &mugs].map(|order| text(order, "id").to_owned());
    for (field, value, expected) in [
        ("number", text(&bens, "number"), vec![&bens_id]),
        ("email", "ben@example.COM", vec![&bens_id]),
        ("customer_id", "c-2", vec![&bens_id]),
        ("sku", "TEA", vec![&bens_id, &usual_id]),
        ("sku", "MUG", vec![&mugs_id, &bens_id, &usual_id]),
        ("sku", "OLD", vec![]),
        ("q", &mugs_id, vec![&mugs_id]),
    ] {
        assert_eq!(
            ids(&server, &format!("?{field}={value}")).await.iter().collect::<Vec<_>>(),
            expected,
            "{field}={value}"
        );
        assert_eq!(ids(&server, &format!("?q={value}")).await.iter().collect::<Vec<_>>(), expected, "q={value}");
    }
    let number: OrderNumber = text(&usual, "number").parse().unwrap();
    let of_other_year = format!("Q-2001-{:06}", number.drawn());
    assert_eq!(ids(&server, &format!("?number={of_other_year}")).await, Vec::<String>::new());
    assert_eq!(ids(&server, "?sku=MUG&customer_id=c-2&email=ben@example.com&status=pending").await, [bens_id]);
    assert_eq!(ids(&server, "?sku=TEA&q=c-2&status=cancelled").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_statuses_are_listed_together_the_newest_first_and_page_by_page() {
    let server = Server::new().await;
    let mut wanted = Vec::new();
    for _ in 0..3 {
        let (cancelled, confirmed) = (server.shop.place().await, server.shop.place().await);
        wanted.splice(0..0, [server.shop.place().await, cancelled]);
        server.shop.hear(short(cancelled)).await;
        server.shop.hear_all(confirmed, &[reserved, authorized]).await;
    }
    let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Value = server.get(&format!("?status=pending,cancelled&limit=2{cursor}")).await.json().await.unwrap();
        seen.extend(page["items"].as_array().unwrap().iter().map(|order| text(order, "id").to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_found_by_when_they_were_placed_from_one_moment_and_before_another() {
    let server = Server::new().await;
    let mut placed = Vec::new();
    for _ in 0..3 {
        placed.push(server.placed().await);
    }
    let at = |index: usize| text(&placed[index], "placed_at").replace('+', "%2B");
    let id = |index: usize| text(&placed[index], "id").to_owned();
    assert_eq!(ids(&server, &format!("?placed_from={}&placed_to={}", at(1), at(2))).await, [id(1)]);
    assert_eq!(ids(&server, &format!("?placed_from={}", at(1))).await, [id(2), id(1)]);
    assert_eq!(ids(&server, &format!("?placed_to={}&sku=TEA", at(1))).await, [id(0)]);
    assert_eq!(ids(&server, "?placed_from=2999-01-01T00:00:00Z").await, Vec::<String>::new());
    // whoever made the id may have had a clock that was an hour late
    server.shop.db.run("update orders set placed_at = placed_at + interval '1 hour'").await;
    assert_eq!(ids(&server, &format!("?placed_from={}", at(2))).await, [id(2), id(1), id(0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_looked_for_is_refused_with_its_parameter() {
    let server = Server::new().await;
    for (query, field) in [
        ("?status=pending,lost", "status"),
        ("?status=", "status"),
        ("?number=123", "number"),
        ("?email=ann", "email"),
        ("?sku=tea", "sku"),
        ("?placed_from=yesterday", "placed_from"),
        ("?placed_from=0000-01-01T00:00:00Z", "placed_from"),
        ("?placed_from=2026-07-02T00:00:00Z&placed_to=2026-07-01T00:00:00Z", "placed_to"),
        ("?q=", "q"),
        ("?q=Ann%20Lee", "q"),
        ("?q=TEA&sku=MUG", "q"),
        ("?q=c-1&customer_id=c-2", "q"),
        ("?q=ann@example.com&email=ann@example.com", "q"),
    ] {
        let answer = server.get(query).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        assert_eq!(answer.json::<Value>().await.unwrap()["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_find_their_own_orders_by_all_of_that_and_nobody_else_s() {
    let shop = tokens::Shop::with_guests().await;
    let (ann, ben, sam) = (shop.token("ann"), shop.token("ben"), shop.token("sam"));
    let order = shop.placed(Some(&ann), "ann").await;
    let email = text(&order["customer"], "email");
    for query in [
        format!("?q={}", text(&order, "id")),
        format!("?number={}", text(&order, "number")),
        format!("?email={email}"),
        "?sku=TEA".to_owned(),
        "?status=pending,confirmed".to_owned(),
    ] {
        for (token, found) in [(&ann, 1), (&ben, 0), (&sam, 1)] {
            let (status, list) = shop.ask("GET", &query, Some(token), None).await;
            assert_eq!((status, list["items"].as_array().unwrap().len()), (200, found), "{query}");
        }
    }
    let (status, problem) = shop.ask("GET", "?q=ann", Some(&ben), None).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("q")));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_two_things_are_frequent_that_seldom_meet_a_page_says_how_far_it_has_looked() {
    let shop = Shop::new().await;
    let old = shop.place_draft(draft(&[("TEA", 1)])).await.unwrap().location;
    let of_mug = shop.place_draft(draft(&[("MUG", 1)])).await.unwrap().location;
    // newer than both: 11,000 of TEA that are completed, and 2,500 of MUG that are pending
    let many = |first: i64, last: i64, of: &str, status: &str, sku: &str| {
        format!(
            "with made as (
                 insert into orders (id, customer_id, placed, pieces, placed_at, facts, stock_rank, payment_rank,
                     shipment_rank, status, version, said, updated_at, keyed)
                 select ('ffff' || lpad(to_hex(i), 28, '0'))::uuid, customer_id, placed, pieces, placed_at, facts, 0, 0, 0,
                     '{status}', version, said, updated_at, true
                 from orders, generate_series({first}, {last}) i where id = '{of}' returning id)
             insert into order_keys (kind, value, order_id) select 'sku', '{sku}', id from made"
        )
    };
    shop.db.run(many(1, 11_000, &old, "completed", "TEA")).await;
    shop.db.run(many(11_001, 13_500, &of_mug, "pending", "MUG")).await;
    let listed =
        async |filter: &Filter, limit: i64| search::list(&mut *shop.db.conn().await, filter, limit).await.unwrap();
    let tea = Filter { sku: Some("TEA".parse().unwrap()), ..Filter::default() };
    let of_tea = listed(&tea, 51).await;
    assert_eq!((of_tea.orders.len(), of_tea.looked_to.is_some()), (51, true), "the newest at once");

    let mut pending = Filter { statuses: vec!["pending".to_owned()], ..tea.clone() };
    let first = listed(&pending, 51).await;
    assert_eq!(first.orders, []);
    pending.before = first.looked_to;
    assert!(pending.before.is_some(), "there may be more");
    let next = listed(&pending, 51).await;
    let ids: Vec<_> = next.orders.iter().map(|order| order.progress.order_id.to_string()).collect();
    assert_eq!((ids, next.looked_to), (vec![old.clone()], None));

    shop.db.run(format!("update orders set status = 'cancelling', reason = 'customer' where id = '{old}'")).await;
    let seldom = Filter { statuses: vec!["cancelling".to_owned(), "shipped".to_owned()], ..tea };
    let found = listed(&seldom, 51).await;
    assert_eq!((found.orders.len(), found.looked_to), (1, None), "what one thing finds few of is looked through whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_an_older_instance_placed_is_found_once_it_was_looked_at() {
    let (server, id) = Server::with_an_order().await;
    server.shop.db.run("delete from order_keys; update orders set keyed = false").await;
    assert_eq!(ids(&server, "?sku=TEA").await, Vec::<String>::new());
    let filled = order_svc::store::keys::fill_in(&mut *server.shop.db.conn().await).await.unwrap();
    assert_eq!(filled, 1);
    let number = server.shop.order(id).await.number.unwrap();
    for query in ["?sku=TEA".to_owned(), "?email=ann@example.com".to_owned(), format!("?number={number}")] {
        assert_eq!(ids(&server, &query).await, [id.to_string()], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_an_order_writes_nothing_to_what_it_is_found_by() {
    let (shop, id) = Shop::with_an_order().await;
    let keys = async || -> Vec<String> {
        shop.db
            .rows("select kind || ' ' || value || ' ' || xmin || ' ' || ctid from order_keys order by kind, value")
            .await
    };
    let before = keys().await;
    assert_eq!(before.len(), 4, "number, e-mail and two SKUs: {before:?}");
    shop.hear_all(id, &[reserved, authorized, committed, captured]).await;
    assert_eq!(keys().await, before);
    let on_orders =
        "pg_indexes where tablename = 'orders' and indexdef like any (array['%number%', '%email%', '%sku%'])";
    assert_eq!(shop.db.count(on_orders).await, 0);
}
