//! What is deleted when it has passed its time to live, and what stays, on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::server::Server;
use common::*;
use order_svc::housekeeping::times_to_live;
use reqwest::StatusCode;
use serde_json::{Value, json};
use service_kit::testing::prune_all;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn two_days_pass(shop: &Shop) {
    let older = "update order_history set recorded_at = recorded_at - interval '2 days';
                 update orders set updated_at = updated_at - interval '2 days'";
    shop.db.run(older).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_an_order_goes_when_it_ended_long_ago_and_that_of_an_open_one_stays() {
    let server = Server::new().await;
    let shop = &server.shop;
    let (ended, open, late) = (shop.place().await, shop.place().await, shop.place().await);
    for order in [ended, late] {
        shop.hear(short(order)).await;
    }
    assert_eq!(
        (shop.status(ended).await, shop.status(open).await),
        ("cancelled out_of_stock".into(), "pending".into())
    );
    two_days_pass(shop).await;
    let touched = format!("update orders set updated_at = now() where id = '{}'", late.0);
    shop.db.run(&touched).await;

    let entries = shop.db.count("order_history").await;
    let deleted = prune_all(&shop.db.pool, &times_to_live(DAY)).await;
    assert_eq!(shop.db.count("order_history").await, entries - deleted);
    let left = "select count(distinct order_id) from order_history";
    assert_eq!((deleted, shop.count(left).await), (3, 2), "of the one that ended: placed, rejected, cancelled");
    let told = format!("select count(*) from orders where history_pruned_at is not null and id = '{}'", ended.0);
    assert_eq!(shop.count(&told).await, 1);

    let page: Value = server.get(&format!("/{ended}/history")).await.json().await.unwrap();
    assert_eq!(page["items"], json!([]));
    assert_eq!(server.get(&format!("/{ended}/events")).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(server.get(&format!("/{ended}")).await.status(), StatusCode::OK, "the order itself is kept");
}
