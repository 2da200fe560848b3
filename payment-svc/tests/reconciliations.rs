//! A day of money over HTTP: the ledger against what the real sandbox gateway lists.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::time::Duration;

use chrono::{NaiveDate, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use payment_svc::gateway::Stripe;
use payment_svc::http::ACCESS;
use quadrille_testing::answer;
use quadrille_testing::issuer::{Issuer, Signer};
use serde_json::{Value, json};
use shop::gateways::that_agrees;
use shop::sandbox::stripe_at;
use shop::scene::Scene;
use shop::served::Served;
use shop::{Order, Shop};

impl Scene {
    /// What is in both books happened two days ago; that day.
    async fn two_days_later(&self) -> NaiveDate {
        let earlier = "alter table ledger disable trigger ledger_is_never_rewritten; \
                       update ledger set at = at - interval '2 days'; \
                       alter table ledger enable trigger ledger_is_never_rewritten";
        self.shop.db.conn().await.batch_execute(earlier).await.unwrap();
        self.sandbox.two_days_later().await;
        (Utc::now() - TimeDelta::days(2)).date_naive()
    }

    async fn day(&self, day: NaiveDate, query: &str) -> (u16, Value) {
        day_at(&self.served, day, query).await
    }
}

async fn day_at(served: &Served, day: NaiveDate, query: &str) -> (u16, Value) {
    let path = format!("{}/api/v1/reconciliations/{day}{query}", served.root);
    answer(served.client.get(path)).await
}

/// Operation, both amounts and state of each movement.
fn told(day: &Value) -> Vec<String> {
    let amount = |side: &Value| side["amount"].as_i64().map_or("none".to_owned(), |amount| amount.to_string());
    let told = |it: &Value| {
        let (operation, state) = (it["operation"].as_str().unwrap(), it["state"].as_str().unwrap());
        format!("{operation} {} {} {state}", amount(&it["ledger"]), amount(&it["gateway"]))
    };
    day["items"].as_array().unwrap().iter().map(told).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_on_which_both_books_have_the_same_is_told_movement_by_movement() {
    let scene = Scene::captured().await;
    scene.shop.hear_and_call([scene.order.restocked(&[("POT", 1)])]).await;
    let day = Utc::now().date_naive();
    let (status, found) = scene.day(day, "").await;
    assert_eq!(status, 200, "{found}");
    let mut movements = told(&found);
    // Both may be of one second.
    movements.sort();
    assert_eq!(movements, ["capture 2598 2598 same", "refund 598 598 same"]);
    assert_eq!((&found["next_cursor"], &found["trouble"]), (&Value::Null, &Value::Null));
    let refund = found["items"].as_array().unwrap().iter().find(|it| it["operation"] == "refund").unwrap();
    assert_eq!(refund["refund_id"], json!(scene.shop.payment(&scene.order).await.refunds[0].id));
    assert_eq!((&refund["order_id"], &refund["given_back"]["amount"]), (&json!(scene.order.id), &json!(598)));
    assert_eq!(told(&scene.day(day, "?currency=USD").await.1), Vec::<String>::new());
    assert_eq!(told(&scene.day(day - TimeDelta::days(1), "").await.1), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_one_side_has_is_a_difference_of_its_order() {
    let scene = Scene::captured().await;
    let intent = scene.intent().await;
    scene.sandbox.refund_by_hand(&intent, 100).await;
    let doubled = "insert into ledger (payment_id, operation, amount, currency, key, debit, credit) \
                   select payment_id, 'refund', 70, 'EUR', gen_random_uuid()::text, 'refunds', 'gateway_clearing' from ledger limit 1";
    scene.shop.db.run(doubled).await;
    let (_, just_now) = scene.day(Utc::now().date_naive(), "").await;
    assert!(told(&just_now).contains(&"refund none 100 under_way".to_owned()), "its webhook may come: {just_now}");
    let day = scene.two_days_later().await;
    let (_, found) = scene.day(day, "").await;
    let mut movements = told(&found);
    movements.sort();
    let expected = ["capture 2598 2598 same", "refund 70 none different", "refund none 100 different"];
    assert_eq!(movements, expected, "{found}");
    assert!(found["items"].as_array().unwrap().iter().all(|it| it["order_id"] == json!(scene.order.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_came_back_a_dispute_that_was_won_and_money_past_the_gateway_are_no_differences() {
    let scene = Scene::captured().await;
    scene.shop.hear_and_call([scene.order.restocked(&[("POT", 1)])]).await;
    let intent = scene.intent().await;
    let dispute = scene.sandbox.dispute(&intent, 50).await;
    scene.reconcile(true).await;
    scene.sandbox.close_dispute(&dispute, "won").await;
    scene.sandbox.fail_refund(&intent).await;
    scene.reconcile(true).await;
    let refund = scene.shop.payment(&scene.order).await.refunds[0].id;
    let outside = json!({"reason": "the card is closed", "reference": "SEPA 0042"});
    let (status, _) = scene.post(&format!("refunds/{refund}/settle-outside"), Some("k"), &outside).await;
    assert_eq!(status, 200);
    let day = scene.two_days_later().await;
    let mut movements = told(&scene.day(day, "").await.1);
    movements.sort();
    let expected = [
        "capture 2598 2598 same",
        "refund 50 50 same",
        "refund 598 598 same",
        "refund_outside 598 none outside",
        "refund_reversal 50 50 same",
        "refund_reversal 598 598 same",
    ];
    assert_eq!(movements, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_was_entered_a_day_late_is_of_the_day_on_which_it_was_made() {
    let scene = Scene::captured().await;
    scene.sandbox.two_days_later().await;
    let today = Utc::now().date_naive();
    assert_eq!(told(&scene.day(today, "").await.1), Vec::<String>::new(), "the gateway has it at another time");
    assert_eq!(told(&scene.day(today - TimeDelta::days(2), "").await.1), ["capture 2598 2598 same"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_the_gateway_lost_is_a_difference() {
    let scene = Scene::captured().await;
    scene.sandbox.lose_everything().await;
    let day = Utc::now().date_naive();
    assert_eq!(told(&scene.day(day, "").await.1), ["capture 2598 none different"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_leaves_the_ledgers_side_and_says_so() {
    let shop = Shop::new(that_agrees()).await;
    let nobody = stripe_at("http://127.0.0.1:1", Duration::from_secs(1));
    let served = Served::start(&shop, Stripe::new(nobody).unwrap());
    let order = Order::new("pm_card_visa");
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    shop.hear_and_call([order.confirmed()]).await;
    let (status, found) = day_at(&served, Utc::now().date_naive(), "").await;
    assert_eq!((status, told(&found)), (200, vec!["capture 2598 none unchecked".to_owned()]));
    assert_eq!(found["trouble"], "The gateway does not answer.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_none_and_a_cursor_of_another_day_are_refused() {
    let scene = Scene::unheard("pm_card_visa").await;
    let day = NaiveDate::from_ymd_opt(2026, 7, 14).unwrap();
    for cursor in
        ["x", "2026-07-13T23:59:59Z", "2026-07-16T00:00:00Z", "2026-07-14T10:00:00.5Z", "2026-07-14T00:00:00Z"]
    {
        let (status, problem) = scene.day(day, &format!("?cursor={cursor}")).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("cursor")), "{cursor}: {problem}");
    }
    let (status, problem) = scene.day(day, "?currency=EURO").await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("currency")), "{problem}");
    let (status, part) = scene.day(day, "?cursor=2026-07-14T10:00:00Z").await;
    assert_eq!((status, &part["until"]), (200, &json!("2026-07-14T10:00:00Z")));
    for nothing in ["1815-06-18", "today"] {
        let path = format!("{}/api/v1/reconciliations/{nothing}", scene.served.root);
        assert_eq!(answer(scene.served.client.get(path)).await.0, 404, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_staff_and_operators_compare_a_day() {
    let shop = Shop::new(that_agrees()).await;
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let guard = issuer.guard(ACCESS).await.recording(shop.db.pool.clone());
    let nobody = stripe_at("http://127.0.0.1:1", Duration::from_secs(1));
    let served = Served::guarded(&shop, Stripe::new(nobody).unwrap(), guard);
    let path = format!("{}/api/v1/reconciliations/2026-07-14", served.root);
    let mut statuses = vec![answer(served.client.get(&path)).await.0];
    for role in ["customer", "staff", "operator"] {
        statuses.push(answer(served.client.get(&path).bearer_auth(issuer.token("x", &[role]))).await.0);
    }
    assert_eq!(statuses, [401, 403, 200, 200]);
}
