//! Staff give money back over HTTP, with the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use diesel::sql_query;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use payment_svc::commands::{self, RefundPayment};
use payment_svc::gateway::GatewayError;
use quadrille_testing::answer;
use serde_json::{Value, json};
use service_kit::external_calls::ExternalCalls;
use shared_events::{Currency, Money};
use shop::gateways::{MockGateway, else_agrees, now};
use shop::scene::Scene;
use shop::{Order, Shop};

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

impl Scene {
    async fn refund(&self, key: Option<&str>, body: Value) -> (u16, Value) {
        self.post("refunds", key, &body).await
    }
}

fn wanted(amount: i64) -> Value {
    json!({"amount": eur(amount), "reason": "a chipped cup"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_taken_and_the_gateway_gives_it_back() {
    let scene = Scene::captured().await;
    let (status, refund) = scene.refund(Some("k-1"), wanted(598)).await;
    assert_eq!((status, &refund["amount"], &refund["reason"]), (202, &eur(598), &json!("a chipped cup")));
    assert_eq!((&refund["status"], &refund["gateway_id"]), (&json!("calling"), &Value::Null));
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await[2..], ["refunded 598 remaining 2000"]);
    let (_, shown) = scene.served.read(&format!("/{}", scene.id().await)).await;
    assert_eq!((&shown["status"], &shown["refunded"]), (&json!("partially_refunded"), &eur(598)));
    let kept = &shown["refunds"][0];
    assert_eq!((&kept["id"], &kept["status"]), (&refund["id"], &json!("done")));
    assert!(kept["gateway_id"].as_str().unwrap().starts_with("re_"), "{kept}");
    assert!(shown["gateway"]["payment_intent"].as_str().unwrap().starts_with("pi_"), "{shown}");
    assert_eq!(scene.money().await, ["authorise 2598", "capture 2598", "refund 598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_gives_the_same_answer_and_another_refund_under_it_is_refused() {
    let scene = Scene::captured().await;
    let first = scene.refund(Some("k-1"), wanted(100)).await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.refund(Some("k-1"), wanted(100)).await, first);
    let (status, problem) = scene.refund(Some("k-1"), wanted(101)).await;
    let errors: Vec<FieldErrorText> = serde_json::from_value(problem["errors"].clone()).unwrap();
    assert_eq!((status, errors[0].field.as_str()), (422, "Idempotency-Key"));
    assert_eq!(scene.refund(None, wanted(100)).await.0, 202);
    scene.shop.call_gateway().await;
    assert_eq!(scene.money().await[2..], ["refund 100", "refund 100"]);
}

#[derive(serde::Deserialize)]
struct FieldErrorText {
    field: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_being_worked_on_is_a_conflict() {
    let scene = Scene::captured().await;
    let mut holder = scene.shop.db.conn().await;
    let held = holder.transaction(async |conn: &mut _| {
        let lock = "select pg_advisory_xact_lock(hashtextextended('idempotency-key k-1', 0))";
        sql_query(lock).execute(conn).await?;
        Ok::<_, diesel::result::Error>(scene.refund(Some("k-1"), wanted(100)).await)
    });
    let (status, problem) = held.await.unwrap();
    assert_eq!((status, &problem["type"]), (409, &json!("urn:problem:conflict")));
    assert_eq!(scene.refund(Some("k-1"), wanted(100)).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_asked_for_at_the_same_time_never_exceed_what_was_captured() {
    let scene = Scene::captured().await;
    let asked = tokio::join!(
        scene.refund(Some("k-1"), wanted(1000)),
        scene.refund(Some("k-2"), wanted(1000)),
        scene.refund(Some("k-3"), wanted(1000)),
        scene.refund(Some("k-1"), wanted(1000)),
    );
    let statuses = [asked.0.0, asked.1.0, asked.2.0];
    // One of three finds that too little remains; a key that is being worked on is told so.
    assert!(statuses.iter().filter(|status| **status == 202).count() <= 2, "{statuses:?}");
    scene.shop.call_gateway().await;
    let refunds = scene.money().await.iter().filter(|line| *line == "refund 1000").count();
    assert!((1..=2).contains(&refunds), "{refunds}");
    let (status, problem) = scene.refund(None, wanted(2599 - i64::try_from(refunds).unwrap() * 1000)).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:problem:conflict")));
    assert_eq!(scene.refund(None, wanted(2598 - i64::try_from(refunds).unwrap() * 1000)).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_of_staff_and_of_a_return_queue_and_stop_at_what_was_captured() {
    let scene = Scene::captured().await;
    assert_eq!(scene.refund(None, wanted(2000)).await.0, 202);
    scene.shop.hear_and_call([scene.order.restocked(&[("TEA", 2)])]).await;
    assert_eq!(scene.money().await[2..], ["refund 2000", "refund 598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_given_back_is_a_problem_and_writes_nothing() {
    let scene = Scene::authorised().await;
    assert_eq!(scene.refund(None, wanted(1)).await.0, 409);
    scene.shop.hear_and_call([scene.order.confirmed()]).await;
    for (body, expected, field) in [
        (wanted(2599), 409, None),
        (wanted(0), 422, Some("amount.amount")),
        (json!({"amount": {"amount": 1, "currency": "USD"}, "reason": "x"}), 422, Some("amount.currency")),
        (json!({"amount": eur(1)}), 422, Some("reason")),
        (json!({"amount": eur(1), "reason": ""}), 422, Some("reason")),
        (json!({"amount": eur(1), "reason": "x", "colour": "red"}), 422, Some("colour")),
        (json!({"amount": {"amount": -1, "currency": "EUR"}, "reason": "x"}), 422, Some("amount")),
    ] {
        let (status, problem) = scene.refund(Some("k-1"), body.clone()).await;
        assert_eq!(status, expected, "{body}: {problem}");
        if let Some(field) = field {
            assert!(problem["errors"][0]["field"].as_str().unwrap().starts_with(field), "{problem}");
        }
    }
    let nobody = format!("{}/01890000-0000-7000-8000-000000000000/refunds", scene.served.url);
    assert_eq!(answer(reqwest::Client::new().post(nobody).json(&wanted(1))).await.0, 404);
    assert_eq!(scene.money().await, ["authorise 2598", "capture 2598"]);
    assert_eq!(scene.refund(Some("k-1"), wanted(1)).await.0, 202, "none of them was kept under its key");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_sum_to_nothing_after_every_step() {
    let named = |balances: &[(&str, i64)]| -> Vec<(String, i64)> {
        balances.iter().map(|(account, balance)| ((*account).to_owned(), *balance)).collect()
    };
    let scene = Scene::authorised().await;
    assert_eq!(scene.shop.balances().await, named(&[("customer", -2598), ("gateway_clearing", 2598)]));
    scene.shop.hear_and_call([scene.order.confirmed()]).await;
    let captured = named(&[("customer", 0), ("gateway_clearing", 2598), ("revenue", -2598)]);
    assert_eq!(scene.shop.balances().await, captured);
    scene.refund(None, wanted(598)).await;
    scene.shop.call_gateway().await;
    let refunded = [("customer", 0), ("gateway_clearing", 2000), ("refunds", 598), ("revenue", -2598)];
    assert_eq!(scene.shop.balances().await, named(&refunded));
    assert_eq!(scene.shop.balances().await.iter().map(|(_, balance)| balance).sum::<i64>(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_a_line_out_of_balance_and_any_change_of_one() {
    let scene = Scene::captured().await;
    let refused = async |sql: &str| {
        let conn: &mut AsyncPgConnection = &mut *scene.shop.db.conn().await;
        sql_query(sql).execute(conn).await.unwrap_err().to_string()
    };
    let line = "insert into ledger (payment_id, operation, amount, currency, key, debit, credit) \
                select payment_id, 'capture', 1, 'EUR', 'k', ";
    for (accounts, why) in [
        ("'revenue', 'revenue' from payments", "ledger_accounts"),
        ("'customer', 'nobody' from payments", "ledger_accounts"),
        ("'customer', null from payments", "null value"),
    ] {
        let error = refused(&format!("{line}{accounts}")).await;
        assert!(error.contains(why), "{error}");
    }
    for change in ["update ledger set amount = 1", "delete from ledger", "truncate ledger"] {
        let error = refused(change).await;
        assert!(error.contains("never updated and never deleted"), "{error}");
    }
}

/// Staff give so much back, and while the gateway is asked the whole order is cancelled. Tells what was said of refunds,
/// and their rows.
async fn cancelled_while_staff_refund(amount: i64, refused: bool) -> (Vec<String>, Vec<(i64, String)>) {
    let mut gateway = MockGateway::new();
    if refused {
        let no = || GatewayError::Refused { code: "expired_card".to_owned() };
        gateway.expect_refund().times(1).returning(move |_, _| now(Err(no())));
    }
    let (shop, order) = (Shop::new(else_agrees(gateway)).await, Order::new("pm_card_visa"));
    for events in [vec![order.placed(), order.reserved()], vec![order.confirmed()]] {
        shop.hear_and_call(events).await;
    }
    let (payment, amount) = (shop.payment(&order).await.id, Money::new(amount, Currency::EUR).unwrap());
    let staffs = RefundPayment { payment, amount, reason: "a chipped cup".parse().unwrap(), once: None };
    commands::refund_payment(&shop.db.pool, &staffs, |_| Ok(vec![])).await.unwrap();
    let asked = shop.calls.take(1).await.unwrap().remove(0);
    shop.hear([order.restocked(&[("TEA", 2), ("POT", 1)])]).await;
    shop.calls.perform(asked).await.unwrap();
    shop.call_gateway().await;
    let sql = "select amount, state from refunds order by seq";
    (shop.said().await.split_off(2), shop.db.rows(sql).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn race_refunds_an_undo_is_owed_what_a_refund_before_it_does_not_give_back() {
    const FAILED: &str = "payment.refund_failed.v1";
    const ALL: &str = "refunded 2598 remaining 0";
    for (amount, refused, said, rows) in [
        (2598, true, [FAILED, ALL].as_slice(), [(2598, "failed"), (2598, "done")]),
        (1000, true, &[FAILED, ALL], [(1000, "failed"), (2598, "done")]),
        (2000, false, &["refunded 2000 remaining 598", "refunded 598 remaining 0"], [(2000, "done"), (598, "done")]),
        (2598, false, &[ALL], [(2598, "done"), (2598, "moot")]),
    ] {
        let came = cancelled_while_staff_refund(amount, refused).await;
        let rows = rows.map(|(amount, state)| (amount, state.to_owned()));
        assert_eq!(
            (came.0.as_slice(), came.1),
            (&*said.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>(), rows.to_vec())
        );
    }
}
