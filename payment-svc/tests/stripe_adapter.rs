//! What the adapter sends, and what it makes of answers that no sandbox gives on purpose.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use payment_svc::gateway::{
    GatewayError, GatewayJournal, IntentState, NewIntent, NewRefund, PaymentGateway, RefundOutcome, Stripe,
    StripeConfig,
};
use serde_json::json;
use shared_events::{Currency, Money, OrderId, PaymentMethod, RefundId};
use wiremock::matchers::{body_string, body_string_contains, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const INTENT: &str = "/v1/payment_intents/pi_1";

fn adapter(url: &str) -> Stripe {
    let timeout = Duration::from_millis(400);
    Stripe::new(StripeConfig {
        base_url: url.to_owned(),
        key: "sk_test_1".to_owned().into(),
        timeout,
        return_url: None,
    })
    .unwrap()
}

fn visa() -> PaymentMethod {
    "pm_card_visa".parse().unwrap()
}

async fn answering(verb: &str, at: String, answers: &[ResponseTemplate]) -> MockServer {
    let server = MockServer::start().await;
    for (place, answer) in answers.iter().enumerate() {
        let mock = Mock::given(method(verb)).and(path(at.clone())).respond_with(answer.clone());
        let priority = u8::try_from(place + 1).unwrap();
        mock.up_to_n_times(1).with_priority(priority).expect(1).mount(&server).await;
    }
    server
}

fn intent(status: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"id": "pi_1", "status": status, "last_payment_error": null}))
}

fn error(status: u16, kind: &str, code: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {"type": kind, "code": code}}))
}

#[tokio::test]
async fn an_intent_is_asked_for_as_a_form_with_key_and_version() {
    let (server, order_id) = (MockServer::start().await, OrderId::new());
    let form = format!(
        "amount=2598&currency=eur&capture_method=manual&payment_method=pm_card_visa\
         &payment_method_types%5B0%5D=card&metadata%5Border_id%5D={order_id}"
    );
    Mock::given(method("POST"))
        .and(path("/v1/payment_intents"))
        .and(header("Authorization", "Bearer sk_test_1"))
        .and(header("Idempotency-Key", "key-1"))
        .and(header("Stripe-Version", "2024-06-20"))
        .and(header("Content-Type", "application/x-www-form-urlencoded"))
        .and(body_string(form))
        .respond_with(intent("requires_confirmation"))
        .expect(1)
        .mount(&server)
        .await;
    let amount = Money::new(2598, Currency::EUR).unwrap();
    let wanted = NewIntent { order_id, amount, method: visa() };
    assert_eq!(adapter(&server.uri()).create("key-1".to_owned(), wanted).await, Ok("pi_1".to_owned()));
}

#[tokio::test]
async fn what_was_not_done_is_asked_again_with_backoff() {
    let busy =
        [error(429, "invalid_request_error", "rate_limit"), error(409, "idempotency_error", "idempotency_key_in_use")];
    let answers = [busy[0].clone(), busy[1].clone(), intent("requires_capture")];
    let server = answering("POST", format!("{INTENT}/confirm"), &answers).await;
    let state = adapter(&server.uri()).confirm("k".to_owned(), "pi_1".to_owned(), visa()).await;
    assert_eq!(state, Ok(IntentState::Authorised));
}

#[tokio::test]
async fn a_confirmation_says_the_method_again_and_may_need_the_customer() {
    let server = MockServer::start().await;
    let confirm = Mock::given(method("POST")).and(path(format!("{INTENT}/confirm")));
    confirm
        .and(body_string("payment_method=pm_card_visa"))
        .respond_with(intent("requires_action"))
        .mount(&server)
        .await;
    let state = adapter(&server.uri()).confirm("k".to_owned(), "pi_1".to_owned(), visa()).await;
    assert_eq!(state, Ok(IntentState::ActionRequired { url: None }));
}

#[tokio::test]
async fn who_says_where_customers_return_to_is_given_the_address_of_their_banks_page() {
    let server = MockServer::start().await;
    let redirect = |url: &str| {
        ResponseTemplate::new(200).set_body_json(json!({
            "id": "pi_1", "status": "requires_action",
            "next_action": {"type": "redirect_to_url", "redirect_to_url": {"url": url, "return_url": "x"}},
        }))
    };
    let confirm = Mock::given(method("POST")).and(path(format!("{INTENT}/confirm")));
    let asked = "payment_method=pm_card_visa&return_url=https%3A%2F%2Fshop.example.com%2Fthanks";
    confirm.and(body_string(asked)).respond_with(redirect("https://bank.example.com/3ds?id=1")).mount(&server).await;
    Mock::given(method("GET")).respond_with(redirect("/relative")).mount(&server).await;
    let return_url = Some("https://shop.example.com/thanks".to_owned());
    let (key, timeout) = ("sk_test_1".to_owned().into(), Duration::from_secs(5));
    let adapter = Stripe::new(StripeConfig { base_url: server.uri(), key, timeout, return_url }).unwrap();
    let state = adapter.confirm("k".to_owned(), "pi_1".to_owned(), visa()).await;
    let url = Some("https://bank.example.com/3ds?id=1".to_owned());
    assert_eq!(state, Ok(IntentState::ActionRequired { url }));
    let state = adapter.look_up("pi_1".to_owned()).await;
    assert_eq!(state, Ok(IntentState::ActionRequired { url: None }), "no mail can hold that");
}

#[tokio::test]
async fn a_failure_of_the_gateway_is_not_repeated_blindly() {
    let server = answering("POST", format!("{INTENT}/capture"), &[error(500, "api_error", "")]).await;
    let answer = adapter(&server.uri()).capture("k".to_owned(), "pi_1".to_owned()).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
}

#[tokio::test]
async fn a_time_out_is_no_answer_and_nobody_there_is_away() {
    let late = intent("canceled").set_delay(Duration::from_secs(5));
    let server = answering("POST", format!("{INTENT}/cancel"), &[late]).await;
    let answer = adapter(&server.uri()).cancel("k".to_owned(), "pi_1".to_owned()).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = adapter(&format!("http://{free}")).look_up("pi_1".to_owned()).await;
    assert!(matches!(answer, Err(GatewayError::Away(_))), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_stripes_is_no_answer() {
    let answers = [ResponseTemplate::new(200).set_body_string("<html>hello</html>")];
    let server = answering("GET", INTENT.to_owned(), &answers).await;
    let answer = adapter(&server.uri()).look_up("pi_1".to_owned()).await;
    assert!(matches!(answer, Err(GatewayError::NoAnswer(_))), "{answer:?}");
}

#[tokio::test]
async fn a_refund_is_found_on_a_later_page_by_its_own_id() {
    let (server, wanted) = (MockServer::start().await, RefundId::new());
    let refund = |id: &str, ours: &str| json!({"id": id, "status": "pending", "metadata": {"refund_id": ours}});
    let first = json!({"has_more": true, "data": [refund("re_1", "another")]});
    let second = json!({"has_more": false, "data": [refund("re_2", &wanted.to_string())]});
    let list = || Mock::given(method("GET")).and(path("/v1/refunds")).and(query_param("payment_intent", "pi_1"));
    let after = list().and(query_param("starting_after", "re_1"));
    after.respond_with(ResponseTemplate::new(200).set_body_json(second)).with_priority(1).mount(&server).await;
    list().respond_with(ResponseTemplate::new(200).set_body_json(first)).with_priority(2).mount(&server).await;
    let found = adapter(&server.uri()).look_up_refund("pi_1".to_owned(), wanted).await;
    assert_eq!(found, Ok(Some(RefundOutcome::Accepted { id: "re_2".to_owned() })));
}

#[tokio::test]
async fn a_refund_that_failed_says_why() {
    let answer = json!({"id": "re_1", "status": "failed", "failure_reason": "expired_or_canceled_card"});
    let answers = [ResponseTemplate::new(200).set_body_json(answer)];
    let server = answering("POST", "/v1/refunds".to_owned(), &answers).await;
    let amount = Money::new(100, Currency::EUR).unwrap();
    let refund = NewRefund { id: RefundId::new(), intent: "pi_1".to_owned(), amount };
    let outcome = adapter(&server.uri()).refund("k".to_owned(), refund).await;
    assert_eq!(outcome, Ok(RefundOutcome::Failed { code: "expired_or_canceled_card".to_owned() }));
}

/// Every amount that goes out or comes back is in the gateway's units there and in minor units here.
#[tokio::test]
async fn krona_and_ariary_are_counted_as_the_gateway_does_in_both_directions() {
    for (code, ours, theirs) in [("ISK", 5_000, 500_000), ("UGX", 5_000, 500_000), ("MGA", 500_000, 5_000)] {
        let server = MockServer::start().await;
        let amount = Money::new(ours, code.parse().unwrap()).unwrap();
        let small = code.to_lowercase();
        let asked = format!("amount={theirs}&currency={small}");
        let made = json!({"id": "pi_1", "status": "requires_confirmation"});
        let create = Mock::given(method("POST")).and(path("/v1/payment_intents")).and(body_string_contains(asked));
        create.respond_with(ResponseTemplate::new(200).set_body_json(made)).expect(1).mount(&server).await;
        let refund = json!({"id": "re_1", "status": "succeeded", "amount": theirs, "currency": small});
        let back = Mock::given(method("POST")).and(path("/v1/refunds"));
        let back = back.and(body_string_contains(format!("amount={theirs}&")));
        back.respond_with(ResponseTemplate::new(200).set_body_json(&refund)).expect(1).mount(&server).await;
        let paid = json!({
            "id": "pi_1", "status": "succeeded", "amount": theirs, "amount_received": theirs, "currency": small,
        });
        Mock::given(method("GET"))
            .and(path(INTENT))
            .respond_with(ResponseTemplate::new(200).set_body_json(paid))
            .mount(&server)
            .await;
        let none = json!({"data": [], "has_more": false});
        let disputes = Mock::given(method("GET")).and(path("/v1/disputes"));
        disputes.respond_with(ResponseTemplate::new(200).set_body_json(none)).mount(&server).await;
        let refunds = json!({"data": [refund], "has_more": false});
        let list = Mock::given(method("GET")).and(path("/v1/refunds"));
        list.respond_with(ResponseTemplate::new(200).set_body_json(refunds)).mount(&server).await;

        let adapter = adapter(&server.uri());
        let intent = NewIntent { order_id: OrderId::new(), amount, method: visa() };
        adapter.create("k".to_owned(), intent).await.unwrap();
        adapter
            .refund("k".to_owned(), NewRefund { id: RefundId::new(), intent: "pi_1".to_owned(), amount })
            .await
            .unwrap();
        let totals = adapter.totals("pi_1".to_owned()).await.unwrap();
        assert_eq!((totals.authorised, totals.captured, totals.given_back[0].amount), (ours, ours, ours), "{code}");
    }
}

#[tokio::test]
async fn a_fraction_that_the_gateway_does_not_take_is_never_sent() {
    let amount = Money::new(10_050, "MGA".parse().unwrap()).unwrap();
    let intent = NewIntent { order_id: OrderId::new(), amount, method: visa() };
    let answer = adapter("http://127.0.0.1:1").create("k".to_owned(), intent).await;
    assert!(matches!(answer, Err(GatewayError::Misused { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_from_a_card_that_is_declined() {
    let wrong = |status| {
        let body = json!({"error": {
            "type": "invalid_request_error", "code": "resource_missing", "param": "payment_method",
            "message": "No such PaymentMethod: 'pm_x'",
        }});
        ResponseTemplate::new(status).set_body_json(body)
    };
    for status in [400, 404] {
        let server = answering("POST", format!("{INTENT}/confirm"), &[wrong(status)]).await;
        let answer = adapter(&server.uri()).confirm("k".to_owned(), "pi_1".to_owned(), visa()).await;
        let parameter = Some("payment_method".to_owned());
        assert_eq!(answer, Err(GatewayError::Misused { code: "resource_missing".to_owned(), parameter }), "{status}");
    }
}
