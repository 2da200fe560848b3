//! The Stripe adapter, unchanged, against stripe-mock: Stripe's own server of its OpenAPI document, which refuses whatever
//! the document doesn't know and answers with its fixtures. `make test-stripe-mock` fetches it and runs this; the feature
//! `stripe-mock` keeps it out of everything else, so that nothing seems to pass that did not run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod shop;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use payment_svc::domain::State;
use payment_svc::gateway::{
    GatewayError, GatewayJournal, IntentState, NewIntent, NewRefund, PaymentGateway, RefundOutcome, Stripe,
    StripeConfig,
};
use shared_events::{Currency, Money, OrderId, RefundId};
use shop::{Order, Shop};

/// A stripe-mock of its own on a free port, ended with the test.
struct StripeMock {
    url: String,
    process: Child,
}

impl StripeMock {
    fn start() -> Self {
        let program =
            std::env::var("STRIPE_MOCK").expect("STRIPE_MOCK is the path of stripe-mock: make test-stripe-mock");
        let free = ["-http-addr", "127.0.0.1:", "-https-addr", "127.0.0.1:"];
        let mut process = Command::new(program).args(free).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines
            .find_map(|line| line.strip_prefix("Listening for HTTP at address: ").map(str::to_owned))
            .expect("stripe-mock says where it listens");
        // Read on: a pipe that nobody reads would end it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url: format!("http://{address}"), process }
    }

    fn adapter(&self) -> Stripe {
        let (base_url, timeout) = (self.url.clone(), Duration::from_secs(10));
        Stripe::new(StripeConfig { base_url, key: "sk_test_1".to_owned().into(), timeout, return_url: None }).unwrap()
    }
}

impl Drop for StripeMock {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

/// The state that the fixture of a PaymentIntent is in, whatever it was asked.
fn the_fixtures() -> Result<IntentState, GatewayError> {
    Ok(IntentState::Declined { code: "idempotency_error".to_owned() })
}

#[tokio::test]
async fn every_request_that_moves_money_is_one_that_stripe_knows() {
    let mock = StripeMock::start();
    let (stripe, method) = (mock.adapter(), "pm_card_visa".parse().unwrap());
    let key = |step: &str| format!("0190b5c2-7a6e-7000-8000-000000000001:{step}:1");
    let wanted = NewIntent { order_id: OrderId::new(), amount: eur(2598), method };
    let intent = stripe.create(key("create"), wanted.clone()).await.unwrap();
    assert!(intent.starts_with("pi_"), "{intent}");
    assert_eq!(stripe.confirm(key("authorise"), intent.clone(), wanted.method).await, the_fixtures());
    assert_eq!(stripe.capture(key("capture"), intent.clone()).await, the_fixtures());
    assert_eq!(stripe.cancel(key("void"), intent.clone()).await, the_fixtures());
    let refund = NewRefund { id: RefundId::new(), intent, amount: eur(598) };
    let RefundOutcome::Accepted { id } = stripe.refund(refund.id.to_string(), refund).await.unwrap() else {
        panic!("refused")
    };
    assert!(id.starts_with("re_"), "{id}");
}

#[tokio::test]
async fn every_question_is_one_that_stripe_knows_and_its_answer_can_be_read() {
    let mock = StripeMock::start();
    let stripe = mock.adapter();
    assert_eq!(stripe.look_up("pi_1".to_owned()).await, the_fixtures());
    assert_eq!(stripe.look_up_refund("pi_1".to_owned(), RefundId::new()).await, Ok(None));
    let totals = stripe.totals("pi_1".to_owned()).await.unwrap();
    assert_eq!((totals.authorised, totals.given_back.len(), totals.given_back[0].ours), (0, 1, None));
    let (intents, more) = stripe.intents(None).await.unwrap();
    assert_eq!((intents.len(), intents[0].order.clone(), more), (1, None, false));
}

/// Else the tests above would show nothing.
#[tokio::test]
async fn a_request_that_stripe_does_not_know_is_refused_by_it() {
    let mock = StripeMock::start();
    let form = [("payment_methode", "pm_card_visa")];
    let request = reqwest::Client::new().post(format!("{}/v1/payment_intents/pi_1/confirm", mock.url)).form(&form);
    assert_eq!(request.bearer_auth("sk_test_1").send().await.unwrap().status(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_comes_to_its_end_by_what_the_fixtures_say() {
    let mock = StripeMock::start();
    let shop = Shop::new(mock.adapter()).await;
    let order = Order::new("pm_card_visa");
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    assert_eq!(shop.said().await, ["declined idempotency_error false"]);
    assert_eq!(shop.payment(&order).await.state, State::Declined);
    assert!(shop.intent(&order).await.starts_with("pi_"));
}
