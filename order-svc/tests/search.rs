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
        assert_eq!(ids(&server, &format!("?{field}={value}")).await.iter().collect::<Vec<_>>(), expected, "{field}={value}");
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
async fn of_a_sku_that_is_seldom_sold_the_old_orders_are_found_behind_all_that_are_of_others() {
    let shop = Shop::new().await;
    let old = shop.place_draft(draft(&[("MUG", 1)])).await.unwrap().location;
    let of_tea = shop.place_draft(draft(&[("TEA", 1)])).await.unwrap().location;
    let many = "insert into orders (id, customer_id, placed, pieces, placed_at, facts, stock_rank, payment_rank, \
                    shipment_rank, status, version, said, updated_at) \
                select ('ffff' || substr(md5(i::text), 5))::uuid, customer_id, placed, pieces, placed_at, facts, \
                    0, 0, 0, status, version, said, updated_at from orders, generate_series(1, 6000) i where id = $$@$$";
    shop.db.run(many.replace('@', &of_tea)).await;
    let new = shop.place_draft(draft(&[("MUG", 2)])).await.unwrap().location;
    shop.db.run(format!("update orders set id = 'ffffffff-0000-7000-8000-000000000000' where id = '{new}'")).await;
    let found = async |filter: &Filter, limit: i64| -> Vec<String> {
        let found = search::list(&mut *shop.db.conn().await, filter, limit).await.unwrap();
        found.iter().map(|order| order.progress.order_id.to_string()).collect()
    };
    let of_mug = Filter { sku: Some("MUG".parse().unwrap()), ..Filter::default() };
    let newest = "ffffffff-0000-7000-8000-000000000000".to_owned();
    assert_eq!(found(&of_mug, 50).await, [newest.clone(), old.clone()]);
    assert_eq!(found(&of_mug, 1).await, [newest.clone()]);
    let next = Filter { before: Some(newest.parse().unwrap()), ..of_mug.clone() };
    assert_eq!(found(&next, 50).await, [old]);
    let of_tea = Filter { sku: Some("TEA".parse().unwrap()), ..Filter::default() };
    assert_eq!(found(&of_tea, 50).await.len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_expressions_of_the_indexes_are_those_that_are_asked_for() {
    let shop = Shop::new().await;
    shop.place().await;
    for (index, condition) in [
        ("orders_by_email", "lower(orders.placed #>> '{customer,email}') = lower('ann@example.com')"),
        ("orders_by_sku", "jsonb_path_query_array(orders.placed, '$.lines[*].sku') ? 'TEA'"),
        ("orders_by_number", "orders.number = 7"),
    ] {
        let explain = format!("set enable_seqscan = off; explain (costs off) select id from orders where {condition}");
        let mut conn = shop.db.conn().await;
        let plan = plan_of(&mut conn, &explain).await;
        assert!(plan.contains(index), "{plan}");
    }
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = diesel::sql_types::Text, column_name = "QUERY PLAN")]
    line: String,
}

async fn plan_of(conn: &mut service_kit::pool::Conn, explain: &str) -> String {
    use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
    let (set, explain) = explain.split_once(';').unwrap();
    conn.batch_execute(set).await.unwrap();
    let lines: Vec<Line> = diesel::sql_query(explain).load(&mut **conn).await.unwrap();
    lines.into_iter().map(|line| line.line + "\n").collect()
}
