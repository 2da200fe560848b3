//! A gateway that is away: why each call waits is kept with it, and an order that is cancelled doesn't sit out the wait of a
//! call that nobody needs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use payment_svc::gateway::{GatewayError, IntentState, PaymentGateway, Stripe};
use payment_svc::store::calls;
use payment_svc::worker::GatewayCalls;
use service_kit::external_calls::{ExternalCalls, Performed, Worker};
use service_kit::testing::{Running, eventually};
use shop::gateways::{MockGateway, never_called, now};
use shop::sandbox::stripe_at;
use shop::{Order, Shop};
use tokio::net::TcpSocket;

const SOON: Duration = Duration::from_secs(60);

/// Where nobody listens: the port stays taken, so that nothing else of these tests gets it.
fn dead() -> Stripe {
    let taken = Box::leak(Box::new(TcpSocket::new_v4().unwrap()));
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = taken.local_addr().unwrap();
    Stripe::new(stripe_at(&format!("http://{free}"), Duration::from_secs(1))).unwrap()
}

async fn authorising<G: PaymentGateway>(gateway: G) -> (Shop<G>, Order) {
    let (shop, order) = (Shop::new(gateway).await, Order::new("pm_card_visa"));
    shop.hear([order.placed(), order.reserved()]).await;
    (shop, order)
}

/// Takes the one call that is due and makes it.
async fn performed<G: PaymentGateway>(shop: &Shop<G>) -> Performed {
    let call = shop.calls.take(1).await.unwrap().remove(0);
    shop.calls.perform(call).await.unwrap()
}

/// Code and text of the error that is kept with the call.
async fn error<G: PaymentGateway>(shop: &Shop<G>) -> (String, String) {
    shop.db.row("select error_code, error from gateway_calls").await
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_call_has_no_answer_is_kept_with_it_and_is_no_done_call() {
    let (shop, _) = authorising(dead()).await;
    for _ in 0..2 {
        assert_eq!(performed(&shop).await, Performed::PutOff);
        assert_eq!(error(&shop).await, ("away".to_owned(), "not reached: can't connect".to_owned()));
        let tries: (i32, bool) = shop.db.row("select tries, failing_since <= due_at from gateway_calls").await;
        assert_eq!(tries, (0, true), "it stays due, and that was no try");
    }
    let mut conn = shop.db.conn().await;
    let failing = calls::failing(&mut conn, Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((failing.operation.as_str(), failing.error_code.as_str()), ("authorise", "away"));
    assert!(calls::failing(&mut conn, Duration::from_secs(600)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_costs_a_probe_a_second_and_no_call_a_try() {
    const AT_ONCE: usize = 8;
    let (back, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_back, counted) = (Arc::clone(&back), Arc::clone(&refused));
    let mut gateway = MockGateway::new();
    gateway.expect_create().returning(|_, intent| now(Ok(format!("pi_{}", intent.order_id))));
    gateway.expect_confirm().returning(move |_, _, _| {
        if AtomicBool::load(&is_back, Ordering::SeqCst) {
            return now(Ok(IntentState::Authorised));
        }
        counted.fetch_add(1, Ordering::SeqCst);
        now(Err(GatewayError::Away("can't connect".to_owned())))
    });
    let shop = Shop::new(never_called()).await;
    let calls = GatewayCalls::new(shop.db.pool.clone(), Arc::new(gateway), || {});
    for _ in 0..20 {
        let order = Order::new("pm_card_visa");
        shop.hear([order.placed(), order.reserved()]).await;
    }
    let began = Instant::now();
    let worker = Running::start(|stop| Worker::new("gateway", calls, AT_ONCE).run(stop));
    let refused = || AtomicUsize::load(&refused, Ordering::SeqCst);
    eventually("it was probed again and again", SOON, async || refused() >= AT_ONCE + 3).await;
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!(refused() <= AT_ONCE + seconds + 1, "{} in {seconds} s", refused());

    back.store(true, Ordering::SeqCst);
    let done = async || shop.decided().await.iter().filter(|call| *call == "authorise done").count();
    eventually("all are done", SOON, async || done().await == 20).await;
    worker.end().await;
    assert_eq!(shop.db.row::<i32>("select max(tries) from gateway_calls").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_order_does_not_wait_for_a_gateway_that_was_never_reached() {
    let (shop, order) = authorising(dead()).await;
    performed(&shop).await;
    shop.hear([order.released()]).await;
    assert_eq!(performed(&shop).await, Performed::Last);
    assert_eq!(shop.said().await, ["voided 0"]);
    assert_eq!(shop.decided().await, ["authorise not_asked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_hold_ends_a_call_that_waits_for_its_backoff() {
    let (shop, order) = authorising(dead()).await;
    performed(&shop).await;
    shop.hear([order.expired()]).await;
    assert_eq!(performed(&shop).await, Performed::Last);
    assert_eq!(shop.decided().await, ["authorise not_asked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_looked_up_at_once_when_its_order_is_cancelled() {
    let mut gateway = MockGateway::new();
    gateway.expect_create().returning(|_, _| now(Ok("pi_1".to_owned())));
    gateway.expect_confirm().times(1).returning(|_, _, _| now(Err(GatewayError::NoAnswer("timed out".to_owned()))));
    gateway.expect_look_up().times(1).returning(|_| now(Ok(IntentState::NotConfirmed)));
    gateway.expect_cancel().times(1).returning(|_, _| now(Ok(IntentState::Cancelled { let_go: false })));
    let (shop, order) = authorising(gateway).await;
    assert_eq!(performed(&shop).await, Performed::PutOff);
    assert_eq!(error(&shop).await.1, "no answer: timed out");
    shop.hear([order.released()]).await;
    assert_eq!(performed(&shop).await, Performed::Last);
    assert_eq!(shop.said().await, ["unknown Authorise", "voided 0"]);
}
