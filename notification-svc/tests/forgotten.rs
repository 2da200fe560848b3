//! What is left of a person who is forgotten, on a real PostgreSQL: nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use notification_svc::domain::Channel;
use service_kit::consumer::{Outcome, Why};
use shared_events::{CustomerForgotten, OrderForgotten, OrderId, OrderPlaced};

/// What names Ann Lee, and what she is told.
const PERSON: [&str; 6] = ["Ann", "ann@", "Quay St", "Cork", "353861234567", "device-1"];

fn forgotten(order: &OrderPlaced) -> OrderForgotten {
    OrderForgotten { order_id: order.order_id, customer_id: order.customer.id.clone() }
}

/// Where in the whole database one of these stands, whatever the column's type: `table.column`.
async fn found(shop: &Shop, wanted: &[&str]) -> Vec<String> {
    let columns: Vec<(String, String, String)> = shop
        .db
        .rows(
            "select table_name, column_name, data_type from information_schema.columns \
             join information_schema.tables using (table_schema, table_name) \
             where table_schema = 'public' and table_type = 'BASE TABLE'",
        )
        .await;
    assert!(columns.iter().any(|(table, column, _)| (table.as_str(), column.as_str()) == ("notifications", "body")));
    let mut found = Vec::new();
    for (table, column, kind) in columns {
        // an event's payload is JSON in bytes
        let text = match kind.as_str() {
            "bytea" => format!("convert_from(\"{column}\", 'UTF8')"),
            _ => format!("\"{column}\"::text"),
        };
        for wanted in wanted {
            if shop.db.count(&format!("{table} where {text} like '%{wanted}%'")).await > 0 {
                found.push(format!("{table}.{column}: {wanted}"));
            }
        }
    }
    found
}

/// An order that was told of in every way: by mail, text and push, in part sent, in part failed, in part queued.
async fn told_in_every_way(shop: &mut Shop) -> OrderPlaced {
    shop.hear(profile(&["email", "sms", "push"])).await;
    let order = placed(OrderId::new());
    shop.hear(order.clone()).await;
    shop.hear(confirmed(order.order_id)).await;
    shop.hear(dispatched(order.order_id)).await;
    shop.takes_and_sends().await;
    shop.takes_and_sends_by(Channel::Sms).await;
    shop.db.run("update notifications set last_error = '550 Ann is unknown' where channel = 'push'").await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_database_names_a_person_who_is_forgotten() {
    let mut shop = Shop::new().await;
    let order = told_in_every_way(&mut shop).await;
    let before = found(&shop, &PERSON).await;
    for place in
        ["orders.customer_name: Ann", "notifications.body: Ann", "html_letters.html: Quay St", "profiles.phone"]
    {
        assert!(before.iter().any(|found| found.starts_with(place)), "{place}: {before:?}");
    }
    assert_eq!(shop.hear(forgotten(&order)).await, Outcome::Applied);
    shop.hear(CustomerForgotten { customer_id: order.customer.id.clone() }).await;
    assert_eq!(found(&shop, &PERSON).await, Vec::<String>::new());

    let left = [
        ("order_placed", "email", "sent"),
        ("order_confirmed", "email", "suppressed"),
        ("shipment_dispatched", "email", "suppressed"),
        ("shipment_dispatched", "sms", "sent"),
        ("shipment_dispatched", "push", "suppressed"),
    ];
    let told = shop.told_by().await;
    let told: Vec<_> = told.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(told, left, "what they were told of stays, without the words");
    assert_eq!(shop.said().await.len(), 5, "what is suppressed is announced");
    let customers: Vec<String> = shop.db.rows("select customer_id from orders").await;
    assert_eq!(customers, [order.customer.id.to_string()], "the order is still somebody's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_queued_for_a_person_who_is_forgotten_is_never_sent_and_nothing_is_told_any_more() {
    let mut shop = Shop::new().await;
    let order = told_in_every_way(&mut shop).await;
    let leased = shop.take().await;
    assert_eq!(leased.len(), 1);
    shop.hear(forgotten(&order)).await;
    shop.time_passes().await;
    for channel in Channel::ALL {
        assert!(shop.take_by(channel).await.is_empty());
    }
    let ignored = Outcome::Ignored(Why::refused("its person is forgotten"));
    assert_eq!(shop.hear(refunded(order.order_id, 100, 2498)).await, ignored);
    assert_eq!(shop.hear(cancelled(order.order_id)).await, ignored);
    assert_eq!(shop.told().await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_the_topic_ends_the_same_way_also_in_one_batch_and_in_a_new_database() {
    use service_kit::consumer::testing::react_to_all;
    let mut shop = Shop::new().await;
    let order = placed(OrderId::new());
    let records = [
        shop.says(order.clone()),
        shop.says(confirmed(order.order_id)),
        shop.says(cancelled(order.order_id)),
        shop.says(forgotten(&order)),
    ];
    for record in &records {
        shop.hears(record).await;
    }
    for again in [false, true] {
        if again {
            shop.db = service_kit::testing::TestDb::new(&notification_svc::migrations()).await;
        }
        shop.inbox_forgets().await;
        let conn = &mut *shop.db.conn().await;
        react_to_all(conn, &shop.reactions, &records).await.unwrap();
        assert_eq!(found(&shop, &PERSON).await, Vec::<String>::new());
        assert!(shop.told().await.iter().all(|(_, status)| status == "suppressed"));
        assert_eq!(shop.told().await.len(), 3);
        assert_eq!(shop.said().await.len(), 3, "each is announced once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_not_forgotten_with_them() {
    let mut shop = Shop::new().await;
    let order = told_in_every_way(&mut shop).await;
    let other = OrderId::new();
    shop.hear(placed(other)).await;
    shop.hear(forgotten(&order)).await;
    assert_eq!(shop.takes_and_sends().await, ["order_placed"]);
    let told = shop.messages().await.pop().unwrap();
    assert_eq!((told.order_id, told.recipient.as_deref()), (other.0, Some("ann@example.com")));
}
