//! Which orders wait longer than they should, on a real PostgreSQL.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::server::Server;
use common::*;
use order_svc::store::overdue::{self, LOOKED_AT, Overdue};
use serde_json::Value;
use shared_events::OrderId;

impl Shop {
    async fn overdue(&self) -> Vec<(String, i64)> {
        let mut groups = overdue::groups(&mut *self.db.conn().await, LOOKED_AT).await.unwrap();
        assert!(groups.iter().all(|group| group.oldest_seconds > 5.0), "{groups:?}");
        groups.sort_by(|one, other| one.waiting_for.cmp(&other.waiting_for));
        let named =
            |Overdue { waiting_for, waiting_from, orders, .. }| (format!("{waiting_for} from {waiting_from}"), orders);
        groups.into_iter().map(named).collect()
    }

    /// As if so many seconds had passed since the order was written last.
    async fn time_passes(&self, seconds: u32) {
        let later = format!(
            "update orders set waiting_since = waiting_since - interval '{seconds} s', \
             overdue_at = overdue_at - interval '{seconds} s', \
             overdue_not_before = overdue_not_before - interval '{seconds} s'"
        );
        self.db.run(later).await;
    }

    async fn columns(&self, id: OrderId) -> (Option<String>, Option<String>, bool, bool) {
        let columns = "select waiting_for, waiting_from, overdue_at is null, overdue_not_before is null from orders";
        self.db.row(format!("{columns} where id = '{}'", id.0)).await
    }
}

fn group(waiting: &str, orders: i64) -> (String, i64) {
    (waiting.to_owned(), orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_wait_longer_than_they_should_are_counted_by_what_they_wait_for() {
    let (shop, first) = Shop::with_an_order().await;
    let (second, paid, done) = (shop.place().await, shop.place().await, shop.place().await);
    assert_eq!(shop.overdue().await, [], "they were just placed");
    shop.hear_all(paid, &[reserved]).await;
    shop.hear_all(done, &[short]).await;
    shop.time_passes(6).await;
    assert_eq!(
        shop.overdue().await,
        [group("payment.authorized from payment-svc", 1), group("stock.reserved from stock-svc", 2)]
    );
    // what moves an order on starts its time anew
    shop.hear_all(first, &[reserved]).await;
    assert_eq!(
        shop.overdue().await,
        [group("payment.authorized from payment-svc", 1), group("stock.reserved from stock-svc", 1)]
    );
    shop.hear_all(second, &[short]).await;
    shop.hear_all(paid, &[authorized]).await;
    assert_eq!(shop.overdue().await, []);
    assert_eq!(shop.columns(second).await, (None, None, true, true), "it has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_a_version_that_notes_nothing_are_filled_in_and_those_that_it_ended_are_let_go() {
    let (shop, placed) = Shop::with_an_order().await;
    let ended = shop.place().await;
    let by_an_older_version = format!(
        "update orders set waiting_for = null, waiting_from = null, overdue_at = null, \
             overdue_not_before = now() - interval '1 s' where id = '{}'; \
         update orders set status = 'completed', overdue_not_before = now() - interval '1 s' where id = '{}'",
        placed.0, ended.0
    );
    shop.db.run(by_an_older_version).await;
    assert_eq!(overdue::fill_in(&mut *shop.db.conn().await).await, Ok(2));
    let (waits_for, from) = (Some("stock.reserved".to_owned()), Some("stock-svc".to_owned()));
    assert_eq!(shop.columns(placed).await, (waits_for, from, false, false));
    assert_eq!(shop.columns(ended).await, (None, None, true, true));
    assert_eq!(overdue::fill_in(&mut *shop.db.conn().await).await, Ok(0));
}

/// Such as an instance of the version before, that handles an event while the shop is upgraded.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_an_older_version_has_moved_on_is_not_overdue_before_its_time() {
    let (shop, order) = Shop::with_an_order().await;
    shop.hear_all(order, &[reserved, authorized, committed, captured, parcel_created]).await;
    let as_placed = "update orders set waiting_for = 'stock.reserved', waiting_from = 'stock-svc', waits_for_people = false, \
        overdue_at = now() - interval '1 s', overdue_not_before = now() - interval '1 s'";
    shop.db.run(as_placed.to_owned()).await;
    assert_eq!(overdue::fill_in(&mut *shop.db.conn().await).await, Ok(1));
    assert_eq!(shop.columns(order).await.0, Some("shipment.dispatched".to_owned()));
    assert_eq!(shop.overdue().await, []);
    assert_eq!(overdue::fill_in(&mut *shop.db.conn().await).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_that_nobody_sends_hide_no_order_that_a_machine_keeps() {
    let (shop, order) = Shop::with_an_order().await;
    let unsent = [order, shop.place().await, shop.place().await];
    for order in unsent {
        shop.hear_all(order, &[reserved, authorized, committed, captured, parcel_created]).await;
    }
    shop.time_passes(3 * 24 * 60 * 60).await;
    shop.place().await;
    shop.time_passes(6).await;
    let found = overdue::groups(&mut *shop.db.conn().await, 2).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|group| (group.waiting_for, group.orders)).collect();
    found.sort();
    assert_eq!(found, [("shipment.dispatched".to_owned(), 2), ("stock.reserved".to_owned(), 1)]);
}

/// An update that changes no indexed column writes to no index.
#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_an_order_move_its_indexed_time_only_when_it_begins_to_wait_for_people() {
    let (shop, order) = Shop::with_an_order().await;
    let look_at = async || shop.db.row::<Option<String>>("select overdue_not_before::text from orders").await;
    let at_first = look_at().await;
    shop.hear_all(order, &[reserved, authorized, committed, captured]).await;
    assert_eq!((look_at().await, shop.columns(order).await.0), (at_first.clone(), Some("shipment.created".to_owned())));
    shop.hear_all(order, &[parcel_created]).await;
    assert!(look_at().await > at_first);
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_orders_are_listed_over_http_by_what_they_wait_for_and_one_by_one() {
    let server = Server::new().await;
    let shop = &server.shop;
    let late = shop.place().await;
    let paid = shop.place().await;
    shop.hear_all(paid, &[reserved]).await;
    shop.time_passes(9).await;
    let in_time = shop.place().await;

    let groups = server.url.replace("/orders", "/overdue-orders");
    let page = async |query: &str| -> Value {
        server.client.get(format!("{groups}{query}")).send().await.unwrap().json().await.unwrap()
    };
    let both = page("").await;
    let waits: Vec<_> = both["items"].as_array().unwrap().iter().map(|group| &group["waiting_for"]).collect();
    assert_eq!(waits, ["payment.authorized", "stock.reserved"]);
    let group = &both["items"][1];
    assert_eq!((&group["waiting_from"], &group["orders"]), (&"stock-svc".into(), &1.into()), "{group}");
    assert_eq!(group["first"][0], late.0.to_string());
    let first = page("?limit=1").await;
    assert_eq!(first["items"][0], both["items"][0]);
    let next = page(&format!("?limit=1&cursor={}", first["next_cursor"].as_str().unwrap().replace(' ', "%20"))).await;
    assert_eq!((&next["items"][0], &next["next_cursor"]), (&both["items"][1], &Value::Null));

    let listed = async |query: &str| -> Vec<String> {
        let page: Value = server.get(query).await.json().await.unwrap();
        page["items"].as_array().unwrap().iter().map(|order| order["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed("?overdue=true").await, [paid.0.to_string(), late.0.to_string()]);
    assert_eq!(listed("?overdue=false").await, [in_time.0.to_string()]);
    assert_eq!(server.get("?overdue=perhaps").await.status(), 422);
}
