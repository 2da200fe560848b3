#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::time::Duration;

use payment_svc::gateway::Stripe;
use payment_svc::http::ACCESS;
use payment_svc::store::payments;
use quadrille_testing::issuer::{Issuer, Signer};
use quadrille_testing::{answer, outbox};
use reqwest::Method;
use serde_json::{Value, json};
use service_kit::Pool;
use service_kit::testing::on_one_thread;
use shared_events::{PaymentId, header};
use shop::gateways::{MockGateway, that_agrees};
use shop::sandbox::stripe_at;
use shop::served::Served;
use shop::{Order, Shop};

/// The interface with a gateway that is never asked by it.
async fn start() -> (Shop<MockGateway>, Served) {
    let shop = Shop::new(that_agrees()).await;
    let nobody = stripe_at("http://127.0.0.1:1", Duration::from_secs(1));
    let served = Served::start(&shop, Stripe::new(nobody).unwrap());
    (shop, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_shows_its_status_its_refunds_and_its_ledger() {
    let (shop, served) = start().await;
    let order = Order::new("pm_card_visa");
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    shop.hear_and_call([order.confirmed()]).await;
    shop.hear_and_call([order.restocked(&[("TEA", 1)])]).await;

    let (status, list) = served.read(&format!("?order_id={}", order.id)).await;
    assert_eq!((status, list["items"].as_array().unwrap().len(), &list["next_cursor"]), (200, 1, &Value::Null));
    let listed = &list["items"][0];
    assert_eq!(listed["status"], "partially_refunded");
    assert_eq!(listed["captured"], json!({"amount": 2598, "currency": "EUR"}));
    assert_eq!(listed["refunded"], json!({"amount": 1000, "currency": "EUR"}));
    let (status, shown) = served.read(&format!("/{}", listed["id"].as_str().unwrap())).await;
    assert_eq!((status, &shown["order_id"], &shown["attempts"]), (200, &json!(order.id), &json!(1)));
    assert_eq!(shown["refunds"][0]["status"], "done");
    assert_eq!(shown["refunds"][0]["amount"], json!({"amount": 1000, "currency": "EUR"}));
    assert_eq!(shown["ledger"][0]["amount"], json!({"amount": 2598, "currency": "EUR"}));
    assert_eq!((&shown["ledger"][1]["debit"], &shown["ledger"][1]["credit"]), (&json!("customer"), &json!("revenue")));
    let operations: Vec<_> = shown["ledger"].as_array().unwrap().iter().map(|entry| &entry["operation"]).collect();
    assert_eq!(operations, ["authorise", "capture", "refund"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_with_its_refunds_and_its_ledger_takes_one_round_trip() {
    let (shop, served) = start().await;
    let order = Order::new("pm_card_visa");
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    let (_, list) = served.read("").await;
    let id: PaymentId = list["items"][0]["id"].as_str().unwrap().parse().unwrap();
    on_one_thread(shop.db.url.clone(), async move |pool: &Pool| {
        for first in [true, false] {
            let before = pool.get().await.unwrap().traffic();
            let conn = pool.get().await.unwrap();
            let found = payments::find_with_details(&conn, id, None).await.unwrap();
            drop(conn); // there is one
            let (_, _, ledger) = found.unwrap();
            let after = pool.get().await.unwrap().traffic();
            assert_eq!((ledger.len(), after.statements - before.statements), (1, 3));
            // the first prepares them
            assert!(first || after.round_trips - before.round_trips == 1, "{before:?} {after:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_goes_on_where_a_page_ended() {
    let (shop, served) = start().await;
    for _ in 0..3 {
        shop.hear([Order::new("pm_card_visa").placed()]).await;
    }
    let (_, first) = served.read("?limit=2").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let (_, second) = served.read(&format!("?limit=2&cursor={cursor}")).await;
    assert_eq!((first["items"].as_array().unwrap().len(), second["items"].as_array().unwrap().len()), (2, 1));
    assert_eq!(second["next_cursor"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_a_problem_that_names_the_field() {
    let (_shop, served) = start().await;
    for (path, field) in
        [("?order_id=none", "order_id"), ("?limit=0", "limit"), ("?cursor=x", "cursor"), ("?colour=red", "colour")]
    {
        assert_eq!(served.fields_of_a_problem(path, 422).await, [field], "{path}");
    }
    let all = served.fields_of_a_problem("?limit=0&cursor=x&order_id=none", 422).await;
    assert_eq!(all, ["limit", "cursor", "order_id"], "all at once");
    assert!(served.fields_of_a_problem("/01890000-0000-7000-8000-000000000000", 404).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_what_the_service_does_and_its_examples_are_taken() {
    let (_shop, served) = start().await;
    served.document_is_right(payment_svc::http::ACCESS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_see_their_own_payments_and_only_staff_and_operators_move_money() {
    let shop = Shop::new(that_agrees()).await;
    let issuer = Issuer::start(&[Signer::es256("k1")]).await;
    let guard = issuer.guard(ACCESS).await.recording(shop.db.pool.clone());
    let nobody = stripe_at("http://127.0.0.1:1", Duration::from_secs(1));
    let served = Served::guarded(&shop, Stripe::new(nobody).unwrap(), guard);
    let order = Order::new("pm_card_visa");
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    shop.hear_and_call([order.confirmed()]).await;
    let tokens = [("c-1001", "customer"), ("c-1002", "customer"), ("sam", "staff"), ("olga", "operator")];
    let tokens = tokens.map(|(sub, role)| issuer.token(sub, &[role]));
    let ask = async |method: Method, path: &str, token: &str, body: Option<Value>| {
        let request = served.request(method, path).bearer_auth(token);
        answer(match body {
            Some(body) => request.header("Idempotency-Key", token.len().to_string()).json(&body),
            None => request,
        })
        .await
    };
    let (_, list) = ask(Method::GET, "", &tokens[2], None).await;
    let payment = format!("/{}", list["items"][0]["id"].as_str().unwrap());
    let mut seen = vec![];
    for token in &tokens {
        let (listed, list) = ask(Method::GET, "", token, None).await;
        let (shown, _) = ask(Method::GET, &payment, token, None).await;
        seen.push((listed, list["items"].as_array().unwrap().len(), shown));
    }
    assert_eq!(seen, [(200, 1, 200), (200, 0, 404), (200, 1, 200), (200, 1, 200)]);
    served.refuses_strangers(ACCESS).await;
    let refund = json!({"amount": {"amount": 100, "currency": "EUR"}, "reason": "as a courtesy"});
    let mut refunds = vec![];
    for token in &tokens {
        refunds.push(ask(Method::POST, &format!("{payment}/refunds"), token, Some(refund.clone())).await.0);
    }
    assert_eq!(refunds, [403, 403, 202, 403]);
    assert_eq!(shop.db.count("refunds").await, 1);
    assert_eq!(shop.db.count("actions where sub = 'sam' and status = 202").await, 1);
    assert_eq!(shop.db.count("actions").await, 1);
    shop.call_gateway().await;
    let said = outbox(&shop.db).await;
    let actors: Vec<_> =
        said.iter().map(|row| (row.event_type(), row.headers.get(header::ACTOR).map(String::as_str))).collect();
    assert_eq!(
        actors.last(),
        Some(&("payment.refunded.v1", Some("sam"))),
        "said by the worker, long after the request"
    );
    assert!(actors[..actors.len() - 1].iter().all(|(_, actor)| actor.is_none()), "{actors:?}");
}
