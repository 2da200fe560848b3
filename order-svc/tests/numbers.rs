//! What people call an order: who gets a number, which, and where it is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Utc};
use common::server::{Server, order, order_with};
use common::*;
use order_svc::store::keys;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_events::*;

const NUMBERS: &str = include_str!("../migrations/2026-11-30-050001_numbers/up.sql");
const NUMBER_ORDERS: &str = include_str!("../migrations/2026-11-30-050002_number_orders/up.sql");
const WITHOUT_KEYS: &str = include_str!("../migrations/2026-11-30-050003_orders_without_keys/up.sql");

impl Shop {
    /// What was announced of it.
    async fn announced_number(&self, id: &str) -> Option<OrderNumber> {
        let placed = quadrille_testing::outbox(&self.db).await.into_iter().find(|row| row.key == id).unwrap();
        match placed.event() {
            Event::Order(OrderEvent::Placed(placed)) => placed.number,
            other => panic!("{other:?}"),
        }
    }

    /// The database is as an older build left it.
    async fn is_of_before_orders_had_numbers(&self) {
        let dropped = "drop table order_keys; alter table orders drop column number, drop column keyed; drop sequence order_numbers";
        self.db.run(dropped).await;
    }

    async fn drawn_by_age(&self) -> Vec<i64> {
        self.db.rows("select number from orders order by placed_at, id").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_has_a_number_from_its_first_answer_on_and_it_is_announced_and_listed() {
    let server = Server::new().await;
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let placed = server.placed().await;
        let (id, number) = (placed["id"].as_str().unwrap(), &placed["number"]);
        assert_eq!(server.get(&format!("/{id}")).await.json::<Value>().await.unwrap()["number"], *number);
        assert_eq!(json!(server.shop.announced_number(id).await), *number);
        numbers.insert(0, number.clone());
    }
    let listed: Value = server.get("").await.json().await.unwrap();
    let listed: Vec<_> = listed["items"].as_array().unwrap().iter().map(|order| order["number"].clone()).collect();
    assert_eq!(listed, numbers);
    let year = Utc::now().year();
    assert_eq!(numbers, [json!(format!("Q-{year}-000002")), json!(format!("Q-{year}-000001"))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_asked_for_again_has_the_number_that_it_had_and_one_that_is_refused_leaves_a_gap() {
    let server = Server::new().await;
    let first: Value = server.post_once("k-1", &order()).await.json().await.unwrap();
    let again: Value = server.post_once("k-1", &order()).await.json().await.unwrap();
    assert_eq!(first, again);
    let refused = server.post(&order_with("/lines/1/sku", json!("OLD"))).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let drawn = |order: &Value| order["number"].as_str().unwrap().parse::<OrderNumber>().unwrap().drawn();
    assert!(drawn(&server.placed().await) > drawn(&first));
    let twice = server.shop.db.count("(select 1 from orders group by number having count(*) > 1) as twice").await;
    assert_eq!(twice, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_year_of_a_number_is_that_in_which_the_order_was_placed_by_utc() {
    let (server, id) = Server::with_an_order().await;
    server.shop.db.run("update orders set placed_at = '2027-01-01T00:30:00+01:00', number = 1234567").await;
    assert_eq!(server.shop.order(id).await.number, Some("Q-2026-1234567".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_before_are_numbered_by_their_age_and_new_ones_go_on_behind_them() {
    let shop = Shop::new().await;
    shop.place().await;
    let many = "insert into orders (id, customer_id, placed, pieces, placed_at, facts, stock_rank, payment_rank, \
                    shipment_rank, status, version, said, updated_at) \
                select gen_random_uuid(), customer_id, placed, pieces, placed_at - random() * interval '300 days', facts, \
                    0, 0, 0, status, version, said, updated_at from orders, generate_series(1, 2499)";
    shop.db.run(many).await;
    shop.is_of_before_orders_had_numbers().await;
    shop.db.run(NUMBERS).await;
    // one that a new instance places meanwhile, and one that an older instance places, which knows of no numbers
    let placed: DateTime<Utc> = shop.order(shop.place().await).await.placed_at;
    shop.db.run(many.replace("2499", "1").replace("from orders,", "from (select * from orders limit 1) orders,")).await;
    shop.db.run(NUMBER_ORDERS).await;
    shop.db.run(WITHOUT_KEYS).await;
    let drawn: Vec<i64> =
        shop.db.rows(format!("select number from orders where placed_at < '{placed}' order by placed_at, id")).await;
    assert_eq!(drawn.len(), 2501);
    let old: Vec<_> = drawn.iter().filter(|number| **number <= 2500).copied().collect();
    assert_eq!(old, (1..=2500).collect::<Vec<_>>(), "the oldest first");
    let all: BTreeSet<_> = shop.drawn_by_age().await.into_iter().collect();
    assert_eq!(all.len(), 2502, "each has one of its own");
    let keyed = async || shop.count("select count(distinct order_id) from order_keys where kind = 'number'").await;
    assert_eq!(keyed().await, 2501, "but for the one of the older instance");
    assert_eq!(keys::fill_in(&mut *shop.db.conn().await).await.unwrap(), 1);
    assert_eq!(keys::fill_in(&mut *shop.db.conn().await).await.unwrap(), 0);
    assert_eq!(keyed().await, 2502);
}

impl Shop {
    /// The same, and its migrations since then are to be run.
    async fn is_to_be_numbered(&self) {
        self.is_of_before_orders_had_numbers().await;
        let run = "delete from __diesel_schema_migrations where version between '20261130050001' and '20261130050003'";
        self.db.run(run).await;
    }

    async fn migrate(&self) -> anyhow::Result<()> {
        service_kit::migrate::migrate(&self.db.url.clone().into(), &order_svc::migrations()).await
    }

    async fn is_numbered(&self) {
        assert_eq!(self.drawn_by_age().await, [1, 2, 3, 4, 5]);
        assert_eq!(self.db.count("orders where not keyed").await, 0);
        let valid = "select indisvalid from pg_index where indexrelid = 'orders_without_keys'::regclass";
        assert_eq!(self.db.rows::<bool>(valid).await, [true]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_orders_of_before_is_migrated_by_the_first_of_two_instances_that_start() {
    let shop = Shop::new().await;
    for _ in 0..5 {
        shop.place().await;
    }
    shop.is_to_be_numbered().await;
    // each as a process of its own runs it
    let start = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(shop.migrate()).unwrap();
    };
    std::thread::scope(|threads| [threads.spawn(start), threads.spawn(start)].map(|start| start.join().unwrap()));
    shop.is_numbered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_whose_build_was_interrupted_is_built_anew() {
    let shop = Shop::new().await;
    for _ in 0..5 {
        shop.place().await;
    }
    shop.is_to_be_numbered().await;
    shop.db.run(NUMBERS).await;
    shop.db.run(NUMBER_ORDERS).await;
    shop.db.run(WITHOUT_KEYS).await;
    shop.db.run("update pg_index set indisvalid = false where indexrelid = 'orders_without_keys'::regclass").await;
    shop.db.run("insert into __diesel_schema_migrations (version) values ('20261130050001'), ('20261130050002')").await;
    shop.migrate().await.unwrap();
    shop.is_numbered().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbering_that_was_interrupted_goes_on_where_it_was_and_done_again_changes_nothing() {
    let shop = Shop::new().await;
    for _ in 0..5 {
        shop.place().await;
    }
    shop.is_of_before_orders_had_numbers().await;
    shop.db.run(NUMBERS).await;
    shop.db.run(NUMBER_ORDERS).await;
    shop.db.run("update orders set number = null where number > 3").await;
    for _ in 0..2 {
        shop.db.run(NUMBER_ORDERS).await;
        assert_eq!(shop.drawn_by_age().await, [1, 2, 3, 4, 5]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_orders_than_there_was_room_for_draw_their_numbers_as_new_ones_do() {
    let shop = Shop::new().await;
    for _ in 0..5 {
        shop.place().await;
    }
    shop.is_of_before_orders_had_numbers().await;
    shop.db.run(NUMBERS.replace("from orders)", "from orders where false)")).await;
    shop.db.run(NUMBER_ORDERS).await;
    assert_eq!(shop.drawn_by_age().await.into_iter().collect::<BTreeSet<_>>(), (1..=5).collect());
}
