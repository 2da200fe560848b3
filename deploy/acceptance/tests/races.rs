//! Rows of docs/RACES.md on the whole shop, as a person runs it.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use running::{PATIENCE, Running, TEA, net};
use serde_json::{Value, json};
use service_kit::testing::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn race_order_hears_nothing_from_a_warehouse_that_stands_still_and_ends_at_its_deadline() {
    let running = Running::start("ORDER_DEADLINE=3s").await;
    let before = running.level(TEA).await;
    let warehouse = running.shop.process("stock-svc").unwrap();
    assert!(warehouse.signal(Signal::SIGSTOP));
    let order = running.place(TEA).await;
    running.until(&order, "cancelling").await;
    let waits = running.get("order-svc", &format!("/api/v1/orders/{order}")).await;
    assert_eq!(waits["waiting_for"]["from"], "stock-svc");
    assert!(warehouse.signal(Signal::SIGCONT));
    running.until(&order, "cancelled").await;
    assert_eq!(running.stands(&order).await.1.as_deref(), Some("timeout"));
    assert_eq!(running.level(TEA).await, before);
    let money = running.money().await;
    assert_eq!(money.get(&order).map_or((0, 0), net), (0, 0));
    running.stop().await;
}

/// Only by asking can payment-svc know what a customer did at their bank, and whether they did anything.
#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_and_has_bought_and_one_who_never_acts_is_told_why_it_ended() {
    let running = Running::start("PAYMENT_DEADLINE=15s").await;
    let faults = running.client.put(running.url("sandbox-gateway", "/sandbox/faults"));
    let lost = faults.json(&json!({"webhooks": {"lose": true}})).send().await.unwrap();
    assert!(lost.status().is_success());
    let before = running.level(TEA).await;
    let never = running.place_with(TEA, "pm_card_authenticationRequired").await;
    let order = running.place_with(TEA, "pm_card_authenticationRequired").await;
    running.until_field(&order, "payment", "action_required").await;
    let payment = running.first("payment-svc", "payments", &order).await;
    let intent = payment["gateway"]["payment_intent"].as_str().unwrap();
    let window = format!("/sandbox/payment_intents/{intent}/authenticate");
    let (status, _) = running.post("sandbox-gateway", &window, &json!({"outcome": "succeed"})).await;
    assert!(status.is_success());
    running.until_field(&order, "payment", "captured").await;
    running.until(&never, "cancelled").await;
    assert_eq!(running.stands(&never).await.1.as_deref(), Some("payment_declined"));
    assert_eq!(running.level(TEA).await, (before.0 - 1, before.1));
    let money = running.money().await;
    let total = money[&order]["capture"];
    let once = [("authorise".to_owned(), total), ("capture".to_owned(), total)];
    assert_eq!(money, BTreeMap::from([(order, BTreeMap::from(once))]));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_confirm_in_a_running_shop_and_nothing_is_kept() {
    const ORDERS: usize = 24;
    let running = Running::start("").await;
    running.add_product("RACE-CANCEL", 100).await;
    let mut orders = vec![];
    for number in 0..ORDERS {
        let order = running.place("RACE-CANCEL").await;
        let history = format!("/api/v1/orders/{order}/history");
        eventually("so much was heard", PATIENCE, async || {
            running.get("order-svc", &history).await["items"].as_array().unwrap().len() > number % 4
        })
        .await;
        assert_eq!(running.cancel(&order).await, StatusCode::ACCEPTED);
        orders.push(order);
    }
    for order in &orders {
        running.until(order, "cancelled").await;
        assert_eq!(running.stands(order).await.1.as_deref(), Some("customer"));
    }
    let money = running.money().await;
    assert!(orders.iter().all(|order| money.get(order).map_or((0, 0), net) == (0, 0)), "{money:?}");
    assert_eq!(running.level("RACE-CANCEL").await, (100, 0));
    running.stop().await;
}

/// So many are confirmed as there are pieces, and the others never see the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn race_stock_is_short_in_a_running_shop_with_more_orders_at_once_than_pieces() {
    let running = Running::start("").await;
    running.add_product("RACE-SHORT", 3).await;
    let three = async || {
        [running.place("RACE-SHORT").await, running.place("RACE-SHORT").await, running.place("RACE-SHORT").await]
    };
    let (some, more, rest) = tokio::join!(three(), three(), three());
    let (mut confirmed, mut short) = (vec![], vec![]);
    for order in [some, more, rest].into_iter().flatten() {
        eventually("it is decided", PATIENCE, async || {
            matches!(running.stands(&order).await.0.as_str(), "confirmed" | "cancelled")
        })
        .await;
        match running.stands(&order).await.1.as_deref() {
            None => confirmed.push(order),
            Some(reason) => {
                assert_eq!(reason, "out_of_stock");
                short.push(order);
            }
        }
    }
    assert_eq!((confirmed.len(), short.len()), (3, 6));
    eventually("what is confirmed is committed", PATIENCE, async || running.level("RACE-SHORT").await == (0, 0)).await;
    let money = running.money().await;
    assert!(short.iter().all(|order| !money.contains_key(order)), "{money:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn race_crash_around_mail_in_a_shop_whose_notification_svc_is_killed_while_it_sends() {
    const ORDERS: usize = 30;
    let running = Running::start("").await;
    let mut orders = vec![];
    for number in 0..ORDERS {
        orders.push(running.place(TEA).await);
        if number % 10 == 5 {
            let killed = running.shop.kill("notification-svc").unwrap();
            let back = async || running.shop.process("notification-svc").is_ok_and(|now| now.pid != killed.pid);
            eventually("it is started again", PATIENCE, back).await;
        }
    }
    for order in &orders {
        running.until(order, "confirmed").await;
        // A mail whose sender was killed waits until its lease of two minutes is over.
        eventually("both mails are sent", PATIENCE * 4, async || {
            let sent = running.notifications(order).await;
            sent.len() == 2 && sent.iter().all(|message| message["status"] == "sent")
        })
        .await;
    }
    let told: BTreeSet<String> = mails(&running.at.mails);
    for order in &orders {
        let ids: Vec<Value> = running.notifications(order).await;
        let expected: BTreeSet<String> = ids.iter().map(|message| file_of(order, message)).collect();
        let of_order: BTreeSet<String> = told.iter().filter(|name| name.starts_with(order)).cloned().collect();
        assert_eq!(of_order, expected, "one mail for a fact, known by its notification's id");
        let templates: BTreeSet<&str> = ids.iter().map(|message| message["template"].as_str().unwrap()).collect();
        assert_eq!(templates, BTreeSet::from(["order_confirmed", "order_placed"]));
    }
    running.stop().await;
}

fn file_of(order: &str, message: &Value) -> String {
    format!("{order}.{}.{}.eml", message["template"].as_str().unwrap(), message["id"].as_str().unwrap())
}

fn mails(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".eml")).collect()
}
