//! The worker and an edge that misbehaves: time-outs, failures, answers that come twice or too late.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel_async::RunQueryDsl;
use payment_svc::domain::{Call, GatewayReply, State, Transition};
use payment_svc::gateway::{GatewayError, GivenBack, IntentState, NewRefund, RefundOutcome};
use payment_svc::store::calls::{self, Failure, PutOff, TakenCall};
use payment_svc::store::{self, Causation};
use service_kit::external_calls::ExternalCalls;
use shop::gateways::{MockGateway, now, that_agrees};
use shop::{Order, Shop};
use tokio::sync::Notify;

fn order() -> Order {
    Order::new("pm_card_visa")
}

fn busy() -> Failure {
    Failure { code: "not_done", text: "busy".to_owned() }
}

async fn put_off(shop: &Shop<MockGateway>, call: &TakenCall) {
    calls::put_off(&*shop.db.conn().await, &[PutOff::later(call, busy())]).await.unwrap();
}

fn no_answer<T>() -> Result<T, GatewayError> {
    Err(GatewayError::NoAnswer("timed out".to_owned()))
}

fn that_makes_intents() -> MockGateway {
    let mut gateway = MockGateway::new();
    gateway.expect_create().returning(|_, intent| now(Ok(format!("pi_{}", intent.order_id))));
    gateway
}

/// The call that authorises is due.
async fn reserved(gateway: MockGateway) -> (Shop<MockGateway>, Order) {
    let (shop, order) = (Shop::new(gateway).await, order());
    shop.hear([order.placed(), order.reserved()]).await;
    (shop, order)
}

async fn authorising(gateway: MockGateway) -> (Shop<MockGateway>, Order) {
    let (shop, order) = reserved(gateway).await;
    shop.call_gateway().await;
    (shop, order)
}

/// The gateway is silent about the confirmation, then the goods are released; it is looked up as `found`, and the cancel
/// lets go of something or of nothing.
async fn released_after_silence(found: IntentState, let_go: bool) -> (Shop<MockGateway>, Order) {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().times(1).returning(|_, _, _| now(no_answer()));
    gateway.expect_look_up().times(1..).returning(move |_| now(Ok(found.clone())));
    gateway.expect_cancel().times(1).returning(move |_, _| now(Ok(IntentState::Cancelled { let_go })));
    let (shop, order) = authorising(gateway).await;
    shop.hear([order.released()]).await;
    shop.call_again().await;
    (shop, order)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_that_never_arrived_is_sent_again_with_the_same_key() {
    let keys = Arc::new(Mutex::new(vec![]));
    let (mut gateway, seen) = (that_makes_intents(), keys.clone());
    gateway.expect_confirm().times(2).returning(move |key, _, _| {
        let mut seen = seen.lock().unwrap();
        seen.push(key);
        now(if seen.len() == 1 { no_answer() } else { Ok(IntentState::Authorised) })
    });
    gateway.expect_look_up().times(1).returning(|_| now(Ok(IntentState::NotConfirmed)));
    let (shop, order) = authorising(gateway).await;
    assert_eq!(shop.payment(&order).await.intent, Some(format!("pi_{}", order.id)));
    shop.call_again().await;
    assert_eq!(shop.said().await, ["unknown Authorise", "authorized 2598"]);
    let keys = keys.lock().unwrap();
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_confirmation_that_lands_just_before_the_cancel_is_in_the_ledger() {
    let (shop, order) = released_after_silence(IntentState::NotConfirmed, true).await;
    assert_eq!(shop.said().await, ["unknown Authorise", "voided 0"]);
    let id = shop.payment(&order).await.id;
    let expected = [format!("authorise 2598 EUR {id}:authorise:1"), format!("void 2598 EUR {id}:void:1")];
    assert_eq!(shop.ledger(&order).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_time_out_an_order_that_nobody_awaits_is_cancelled_at_the_gateway() {
    let (shop, _) = released_after_silence(IntentState::NotConfirmed, false).await;
    assert_eq!(shop.said().await, ["unknown Authorise", "voided 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_payment_after_end_a_success_that_is_found_late_is_voided_and_never_announced() {
    let (shop, order) = released_after_silence(IntentState::Authorised, false).await;
    assert_eq!(shop.said().await, ["unknown Authorise", "voided 2598"]);
    assert_eq!(shop.ledger(&order).await.len(), 2);
}

/// Cancels, in turn, as it is told, and keeps the keys.
fn that_cancels(gateway: &mut MockGateway, answers: Vec<Result<IntentState, GatewayError>>) -> Arc<Mutex<Vec<String>>> {
    let keys = Arc::new(Mutex::new(vec![]));
    let (seen, mut answers) = (keys.clone(), answers.into_iter());
    gateway.expect_cancel().returning(move |key, _| {
        seen.lock().unwrap().push(key);
        now(answers.next().unwrap())
    });
    keys
}

fn that_is_looked_up(gateway: &mut MockGateway, found: Vec<IntentState>) {
    let mut found = found.into_iter();
    gateway.expect_look_up().returning(move |_| now(Ok(found.next().unwrap())));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_cancel_that_was_refused_while_the_confirmation_landed_is_asked_again_under_another_key()
 {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().times(1).returning(|_, _, _| now(no_answer()));
    let found = vec![IntentState::NotConfirmed, IntentState::Processing, IntentState::Authorised];
    that_is_looked_up(&mut gateway, found);
    let answers = vec![Err(GatewayError::MovedOn), Ok(IntentState::Cancelled { let_go: true })];
    let keys = that_cancels(&mut gateway, answers);
    let (shop, order) = authorising(gateway).await;
    shop.hear([order.released()]).await;
    for _ in 0..2 {
        shop.call_again().await;
    }
    assert_eq!(shop.said().await, ["unknown Authorise", "voided 2598"]);
    let id = shop.payment(&order).await.id;
    assert_eq!(*keys.lock().unwrap(), [format!("{id}:void:1"), format!("{id}:void:1:1")]);
    assert_eq!(shop.ledger(&order).await[1], format!("void 2598 EUR {id}:void:1:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_is_at_work_on_is_not_asked_to_be_ended_and_silence_keeps_the_key() {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().times(1).returning(|_, _, _| now(Ok(IntentState::Authorised)));
    that_is_looked_up(&mut gateway, vec![IntentState::Processing, IntentState::Authorised]);
    let keys = that_cancels(&mut gateway, vec![no_answer(), Ok(IntentState::Cancelled { let_go: true })]);
    let (shop, order) = authorising(gateway).await;
    shop.hear_and_call([order.released()]).await;
    for asked in [1, 2] {
        shop.call_again().await;
        assert_eq!(keys.lock().unwrap().len(), asked);
    }
    assert!(keys.lock().unwrap().windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(shop.said().await.last().unwrap(), "voided 2598");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_that_is_asked_for_anew_does_not_fail_since_before() {
    let (shop, order) = authorising(that_agrees()).await;
    shop.hear([order.released()]).await;
    let (payment, void) = (shop.payment(&order).await, shop.calls.take(1).await.unwrap().remove(0));
    let mut conn = shop.db.conn().await;
    put_off(&shop, &void).await;
    assert!(calls::failing(&mut conn, Duration::ZERO).await.unwrap().is_some());
    let mut loaded = store::load(&conn, [order.id]).await.unwrap();
    let (nothing, void_again) = (Transition::default(), Transition { call: Some(Call::Void), ..Transition::default() });
    let causation = Causation::default();
    loaded.apply_answer(payment.clone(), nothing, &causation, Some("authorised_after_all")).unwrap();
    loaded.apply(payment, void_again, &causation).unwrap();
    store::save(&mut conn, loaded).await.unwrap();
    assert!(calls::failing(&mut conn, Duration::ZERO).await.unwrap().is_none());
}

fn failed_3d_secure() -> IntentState {
    IntentState::Declined { code: "payment_intent_authentication_failure".to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_failed_3d_secure_that_is_found_is_declined_once_the_intent_is_ended() {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().times(1).returning(|_, _, _| now(no_answer()));
    gateway.expect_look_up().times(2).returning(|_| now(Ok(failed_3d_secure())));
    gateway.expect_cancel().times(1).returning(|_, _| now(Ok(IntentState::Cancelled { let_go: false })));
    let (shop, _) = authorising(gateway).await;
    shop.make_due().await;
    let found = shop.calls.take(1).await.unwrap().remove(0);
    shop.calls.perform(found).await.unwrap();
    assert_eq!(shop.said().await, ["unknown Authorise"], "nobody is told before the intent is ended");
    shop.call_gateway().await;
    let declined = "declined payment_intent_authentication_failure false";
    assert_eq!(shop.said().await[1..], [declined]);
    assert_eq!(shop.decided().await, ["authorise action_failed", "void done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_at_a_later_attempt_a_failed_3d_secure_is_that_attempts() {
    let mut gateway = that_makes_intents();
    let not_now = || GatewayError::Refused { code: "insufficient_funds".to_owned() };
    gateway.expect_confirm().times(1).returning(move |_, _, _| now(Err(not_now())));
    gateway.expect_confirm().times(1).returning(|_, _, _| now(no_answer()));
    gateway.expect_look_up().times(2).returning(|_| now(Ok(failed_3d_secure())));
    // The customer had tried once more, just before.
    gateway.expect_cancel().times(1).returning(|_, _| now(Ok(IntentState::Cancelled { let_go: true })));
    let (shop, order) = authorising(gateway).await;
    shop.retry(&order).await;
    shop.call_gateway().await;
    shop.call_again().await;
    let said = [
        "declined insufficient_funds true",
        "unknown Authorise",
        "declined payment_intent_authentication_failure false",
    ];
    assert_eq!(shop.said().await, said);
    assert_eq!(shop.ledger(&order).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_done_is_put_off_and_says_nothing() {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().times(1).returning(|_, _, _| now(Err(GatewayError::NotDone("can't connect".to_owned()))));
    let (shop, order) = authorising(gateway).await;
    assert!(shop.said().await.is_empty());
    assert_eq!(shop.decided().await, ["authorise unfinished"]);
    assert_eq!(shop.payment(&order).await.state, State::Authorizing);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_capture_is_looked_up_before_it_is_repeated() {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().returning(|_, _, _| now(Ok(IntentState::Authorised)));
    gateway.expect_capture().times(1).returning(|_, _| now(no_answer()));
    gateway.expect_look_up().times(1).returning(|_| now(Ok(IntentState::Captured)));
    let (shop, order) = authorising(gateway).await;
    shop.hear_and_call([order.confirmed()]).await;
    shop.call_again().await;
    assert_eq!(shop.said().await, ["authorized 2598", "unknown Capture", "captured 2598"]);
}

/// Somebody has captured 1000 of the 2598 in the gateway's dashboard.
fn captured_in_part() -> MockGateway {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().returning(|_, _, _| now(Ok(IntentState::Authorised)));
    gateway.expect_capture().returning(|_, _| now(Err(GatewayError::MovedOn)));
    gateway.expect_cancel().returning(|_, _| now(Err(GatewayError::MovedOn)));
    gateway.expect_look_up().returning(|_| now(Ok(IntentState::CapturedInPart { amount: 1000 })));
    gateway
}

fn accepted() -> Result<RefundOutcome, GatewayError> {
    Ok(RefundOutcome::Accepted { id: "re_1".to_owned() })
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_capture_in_part_pays_no_order_and_goes_back_with_the_goods() {
    for confirmed in [true, false] {
        let mut gateway = captured_in_part();
        gateway.expect_given_back().returning(|_| now(Ok(vec![])));
        let is_the_part = |_: &String, refund: &NewRefund| refund.amount.amount() == 1000;
        gateway.expect_refund().times(1).withf(is_the_part).returning(|_, _| now(accepted()));
        let (shop, order) = authorising(gateway).await;
        if confirmed {
            shop.hear_and_call([order.confirmed()]).await;
            assert_eq!(shop.said().await[1..], ["capture_failed captured_in_part"]);
        }
        shop.hear_and_call([order.released()]).await;
        assert_eq!(shop.said().await.last().unwrap(), "voided 2598");
        let ledger = shop.ledger(&order).await;
        let moved: Vec<_> = ledger.iter().map(|line| line.split(" EUR").next().unwrap()).collect();
        assert_eq!(moved, ["authorise 2598", "capture 1000", "void 1598", "refund 1000"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn race_done_elsewhere_a_capture_in_part_that_somebody_has_refunded_is_not_refunded_again() {
    let mut gateway = captured_in_part();
    let refunded = GivenBack { id: "re_0".to_owned(), ours: None, amount: 1000, failed: None };
    gateway.expect_given_back().returning(move |_| now(Ok(vec![refunded.clone()])));
    let (shop, order) = authorising(gateway).await;
    shop.hear_and_call([order.released()]).await;
    assert_eq!(shop.said().await[1..], ["voided 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_refund_is_found_by_its_own_id() {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().returning(|_, _, _| now(Ok(IntentState::Authorised)));
    gateway.expect_capture().returning(|_, _| now(Ok(IntentState::Captured)));
    gateway.expect_refund().times(1).returning(|_, _| now(no_answer()));
    gateway
        .expect_look_up_refund()
        .times(1)
        .returning(|_, _| now(Ok(Some(RefundOutcome::Accepted { id: "re_1".to_owned() }))));
    let (shop, order) = authorising(gateway).await;
    shop.hear_and_call([order.confirmed()]).await;
    shop.hear_and_call([order.released()]).await;
    shop.call_again().await;
    let expected = ["authorized 2598", "captured 2598", "unknown Refund", "refunded 2598 remaining 0"];
    assert_eq!(shop.said().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_cancel_races_gateway_what_it_brings_is_voided() {
    let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut gateway = that_makes_intents();
    let (tell, wait) = (asked.clone(), answer.clone());
    gateway.expect_confirm().times(1).returning(move |_, _, _| {
        let (tell, wait) = (tell.clone(), wait.clone());
        Box::pin(async move {
            tell.notify_one();
            wait.notified().await;
            Ok(IntentState::Authorised)
        })
    });
    gateway.expect_cancel().times(1).returning(|_, _| now(Ok(IntentState::Cancelled { let_go: false })));
    let (shop, order) = (Arc::new(Shop::new(gateway).await), order());
    shop.hear([order.placed(), order.reserved()]).await;
    let working = tokio::spawn({
        let shop = shop.clone();
        async move { shop.call_gateway().await }
    });
    asked.notified().await;
    shop.hear([order.released()]).await;
    assert!(shop.said().await.is_empty());
    answer.notify_one();
    working.await.unwrap();
    assert_eq!(shop.said().await, ["voided 2598"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_twice_is_applied_once() {
    let (shop, order) = reserved(that_agrees()).await;
    let taken = shop.calls.take(10).await.unwrap();
    for _ in 0..2 {
        shop.calls.perform(taken[0].clone()).await.unwrap();
    }
    shop.settle(&taken[0], GatewayReply::No { code: "late".to_owned() }).await;
    assert_eq!(shop.said().await, ["authorized 2598"]);
    assert_eq!(shop.ledger(&order).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_worker_has_taken_is_left_to_it_for_a_while() {
    let (shop, _) = reserved(that_agrees()).await;
    assert_eq!(shop.calls.take(10).await.unwrap().len(), 1);
    assert_eq!(shop.calls.take(10).await.unwrap().len(), 0);
    shop.make_due().await;
    assert_eq!(shop.calls.take(10).await.unwrap()[0].tries, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_worker_has_taken_is_not_taken_by_another_because_somebody_hastens_it() {
    let (shop, order) = reserved(that_agrees()).await;
    let (taken, id) = (shop.calls.take(10).await.unwrap().remove(0), shop.payment(&order).await.id);
    calls::hasten(&mut *shop.db.conn().await, id).await.unwrap();
    assert_eq!(shop.calls.take(10).await.unwrap().len(), 0);
    assert!(shop.calls.take_of(id).await.unwrap().is_none());
    // Its worker learns nothing: what was hastened meanwhile doesn't wait for the backoff.
    put_off(&shop, &taken).await;
    assert_eq!(shop.calls.take(10).await.unwrap()[0].tries, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_of_one_payment_can_be_taken_alone_though_it_waits_and_others_are_due() {
    let (shop, orders) = (Shop::new(that_agrees()).await, [order(), order(), order()]);
    for order in &orders {
        shop.hear([order.placed(), order.reserved()]).await;
    }
    let id = shop.payment(&orders[1]).await.id;
    let taken = shop.calls.take_of(id).await.unwrap().unwrap();
    put_off(&shop, &taken).await;
    let again = shop.calls.take_of(id).await.unwrap().unwrap();
    assert_eq!((again.order_id, again.tries), (orders[1].id, 2));
    assert_eq!(shop.calls.take(10).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_takes_too_long_is_announced_once_as_unknown() {
    let mut gateway = that_makes_intents();
    gateway.expect_confirm().returning(|_, _, _| Box::pin(std::future::pending()));
    gateway.expect_look_up().returning(|_| now(Ok(IntentState::Processing)));
    let (mut shop, order) = (Shop::new(gateway).await, order());
    shop.calls = shop.calls.asking_for(Duration::from_millis(300));
    shop.hear_and_call([order.placed(), order.reserved()]).await;
    assert_eq!(shop.said().await, ["unknown Authorise"]);
    shop.call_again().await;
    assert_eq!(shop.said().await, ["unknown Authorise"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_overtaken_leaves_the_lease_of_the_other_alone() {
    let (shop, _) = reserved(that_agrees()).await;
    let slow = shop.calls.take(10).await.unwrap().remove(0);
    shop.make_due().await;
    assert_eq!(shop.calls.take(10).await.unwrap().len(), 1);
    put_off(&shop, &slow).await;
    let leased = diesel::sql_query("select 1 from gateway_calls where due_at > now() + interval '10 seconds'")
        .execute(&mut shop.db.conn().await)
        .await
        .unwrap();
    assert_eq!(leased, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_gateway_times_out_a_payment_has_one_unfinished_call_at_most() {
    let (shop, order) = reserved(that_agrees()).await;
    let (payment, mut conn) = (shop.payment(&order).await, shop.db.conn().await);
    let mut loaded = store::load(&conn, [order.id]).await.unwrap();
    let second = Transition { call: Some(Call::Void), ..Transition::default() };
    let second = loaded.apply(payment, second, &Causation::default());
    assert!(second.unwrap_err().to_string().contains("two unfinished calls"));
    let by_hand = "insert into gateway_calls (key, payment_id, order_id, operation) \
                   select 'another', payment_id, order_id, 'void' from payments";
    let second = diesel::sql_query(by_hand).execute(&mut conn).await;
    assert!(second.unwrap_err().to_string().contains("one_unfinished_call_a_payment"));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_an_answer_name_what_caused_the_call() {
    let (shop, order) = (Shop::new(that_agrees()).await, order());
    shop.hear([order.placed()]).await;
    let reserved = shop::record(order.reserved());
    shop.hear_record(&reserved).await;
    shop.call_gateway().await;
    let id = reserved.headers.iter().find(|(name, _)| name == "ce_id").map(|(_, value)| value.clone()).unwrap();
    let found = diesel::sql_query("select 1 from outbox where headers::text like $1")
        .bind::<diesel::sql_types::Text, _>(format!("%ce_causationid%{id}%"))
        .execute(&mut shop.db.conn().await)
        .await
        .unwrap();
    assert_eq!(found, 1);
}
