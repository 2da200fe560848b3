use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shared_events::{
    Currency, GatewayOperation, Money, OrderId, PaymentEvent, PaymentId, Quantity, RefundId, Rejection, RestockCause,
    StockLine, StockReserved, StockRestocked,
};
use uuid::Uuid;

use super::*;

mod refunds;
mod waiting;

type Happens = Box<dyn Fn(&mut Payment) -> Result<Transition, Refused>>;

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

fn held_until() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(14)
}

fn line(sku: &str, quantity: i64) -> StockLine {
    StockLine { sku: sku.parse().unwrap(), quantity: Quantity::try_from(quantity).unwrap() }
}

fn cause(number: u128) -> RefundId {
    RefundId(Uuid::from_u128(number))
}

/// Two teas at 10.00 and a pot at 5.98.
fn placed() -> Happens {
    let ordered = |sku: &str, quantity, price| {
        let StockLine { sku, quantity } = line(sku, quantity);
        ChargeLine { sku, quantity, unit_price: eur(price) }
    };
    let lines = vec![ordered("TEA", 2, 1000), ordered("POT", 1, 598)];
    let charge = Charge { amount: eur(2598), method: "pm_card_visa".parse().unwrap(), lines, customer: None };
    Box::new(move |payment| payment.placed(charge.clone()))
}

fn reserved() -> Happens {
    Box::new(|payment| {
        let reserved = StockReserved { order_id: payment.order_id, expires_at: held_until() };
        payment.reserved(&reserved, DateTime::UNIX_EPOCH, Duration::from_secs(3600))
    })
}

fn confirmed() -> Happens {
    Box::new(Payment::confirmed)
}

fn expired() -> Happens {
    Box::new(Payment::expired)
}

fn short() -> Happens {
    Box::new(|payment| payment.rejected(&Rejection::Shortages { lines: vec![] }))
}

fn released() -> Happens {
    Box::new(|payment| payment.released(cause(1)))
}

fn restocked(number: u128, sku: &'static str, quantity: i64) -> Happens {
    back(number, sku, quantity, RestockCause::Cancelled)
}

fn returned(number: u128, sku: &'static str, quantity: i64) -> Happens {
    back(number, sku, quantity, RestockCause::Returned)
}

fn back(number: u128, sku: &'static str, quantity: i64, because: RestockCause) -> Happens {
    Box::new(move |payment| {
        let lines = vec![line(sku, quantity)];
        payment.restocked(cause(number), &StockRestocked { order_id: payment.order_id, cause: because, lines })
    })
}

fn answered(call: Call, answer: GatewayReply) -> Happens {
    Box::new(move |payment| payment.answered(call, answer.clone()))
}

fn done(call: Call) -> Happens {
    answered(call, GatewayReply::Done)
}

fn refused(call: Call, code: &str) -> Happens {
    answered(call, GatewayReply::No { code: code.to_owned() })
}

fn new() -> Payment {
    Payment::new(PaymentId(Uuid::from_u128(7)), OrderId(Uuid::from_u128(8)))
}

fn given(history: Vec<Happens>) -> Payment {
    let mut payment = new();
    for happens in history {
        happens(&mut payment).unwrap();
    }
    payment
}

fn authorizing() -> Payment {
    given(vec![placed(), reserved()])
}

fn authorized() -> Payment {
    given(vec![placed(), reserved(), done(Call::Authorise)])
}

fn capturing() -> Payment {
    given(vec![placed(), reserved(), done(Call::Authorise), confirmed()])
}

fn captured() -> Payment {
    given(vec![placed(), reserved(), done(Call::Authorise), confirmed(), done(Call::Capture)])
}

/// What came of it, in words: the state, what was said, what is asked next.
struct Came {
    payment: Payment,
    step: Result<Transition, Refused>,
}

impl Payment {
    fn when(mut self, happens: Happens) -> Came {
        let step = happens(&mut self);
        Came { payment: self, step }
    }
}

impl Came {
    fn then(self, state: State, said: &[&str], call: Option<Call>) -> Payment {
        let step = self.step.unwrap();
        assert_eq!(step.events.iter().map(in_words).collect::<Vec<_>>(), said);
        assert_eq!((self.payment.state, step.call), (state, call));
        self.payment
    }

    fn then_refused(self) -> Payment {
        assert!(matches!(self.step, Err(Refused::Not { .. })), "{:?}", self.step);
        self.payment
    }
}

fn in_words(event: &PaymentEvent) -> String {
    match event {
        PaymentEvent::Authorized(e) => format!("authorized {}", e.amount),
        PaymentEvent::Declined(e) => format!("declined {} retryable {}", e.code, e.retryable),
        PaymentEvent::ActionRequired(_) => "action_required".to_owned(),
        PaymentEvent::Captured(e) => format!("captured {}", e.amount),
        PaymentEvent::CaptureFailed(e) => format!("capture_failed {}", e.code),
        PaymentEvent::Voided(e) => format!("voided {}", e.amount),
        PaymentEvent::Refunded(e) => format!("refunded {} remaining {}", e.amount, e.remaining),
        PaymentEvent::RefundFailed(e) => format!("refund_failed {} {}", e.amount, e.code),
        PaymentEvent::Unknown(e) => format!("unknown {:?}", e.operation),
    }
}

#[test]
fn goods_held_and_an_order_noted_are_authorised_in_both_orders() {
    given(vec![placed()]).when(reserved()).then(State::Authorizing, &[], Some(Call::Authorise));
    given(vec![reserved()]).when(placed()).then(State::Authorizing, &[], Some(Call::Authorise));
}

#[test]
fn an_order_alone_or_a_hold_alone_authorises_nothing() {
    new().when(placed()).then(State::New, &[], None).when(placed()).then_refused();
    new().when(reserved()).then(State::New, &[], None).when(reserved()).then_refused();
}

#[test]
fn an_authorisation_is_announced_and_captured_when_the_order_is_confirmed() {
    let authorized = authorizing().when(done(Call::Authorise)).then(State::Authorized, &["authorized 25.98 EUR"], None);
    let capturing = authorized.when(confirmed()).then(State::Capturing, &[], Some(Call::Capture));
    capturing.when(done(Call::Capture)).then(State::Captured, &["captured 25.98 EUR"], None);
}

#[test]
fn a_decline_is_final() {
    let no = refused(Call::Authorise, "insufficient_funds");
    let said = ["declined insufficient_funds retryable false"];
    let declined = authorizing().when(no).then(State::Declined, &said, None);
    declined.when(released()).then_refused();
}

#[test]
fn what_never_started_is_closed_with_nothing() {
    given(vec![placed()]).when(released()).then(State::Voided, &["voided 0.00 EUR"], None);
}

#[test]
fn released_before_placed_leaves_a_tombstone_that_is_answered_once_and_never_acts() {
    let tombstone = new().when(released()).then(State::Tombstone, &[], None);
    let tombstone = tombstone.when(reserved()).then_refused().when(released()).then_refused();
    let voided = tombstone.when(placed()).then(State::Voided, &["voided 0.00 EUR"], None);
    voided.when(reserved()).then_refused().when(placed()).then_refused();
}

#[test]
fn short_stock_closes_the_note_in_both_orders() {
    let closed = given(vec![placed()]).when(short()).then(State::Closed, &[], None);
    closed.when(reserved()).then_refused().when(released()).then_refused();
    given(vec![short()]).when(placed()).then(State::Closed, &[], None);
}

#[test]
fn an_expired_hold_stops_authorising_in_every_order() {
    given(vec![placed(), expired()]).when(reserved()).then(State::New, &[], None);
    given(vec![reserved(), expired()]).when(placed()).then(State::New, &[], None);
    assert!(!given(vec![placed(), reserved(), expired()]).may_authorise(DateTime::UNIX_EPOCH));
}

#[test]
fn an_expired_hold_stops_no_capture_and_nothing_that_is_authorised() {
    let authorized = authorized().when(expired()).then(State::Authorized, &[], None);
    let capturing = authorized.when(confirmed()).then(State::Capturing, &[], Some(Call::Capture));
    capturing.when(expired()).then_refused().when(done(Call::Capture)).then(
        State::Captured,
        &["captured 25.98 EUR"],
        None,
    );
}

#[test]
fn the_gateway_is_not_asked_after_the_deadline() {
    let payment = authorizing();
    assert!(payment.may_authorise(held_until() - TimeDelta::milliseconds(1)));
    assert!(!payment.may_authorise(held_until()));
    let stopped = payment.when(answered(Call::Authorise, GatewayReply::NotAsked)).then(State::New, &[], None);
    stopped.when(released()).then(State::Voided, &["voided 0.00 EUR"], None);
}

#[test]
fn released_while_authorising_is_remembered_and_the_authorisation_is_never_announced() {
    let asked = || authorizing().when(released()).then(State::Authorizing, &[], None);
    assert!(!asked().may_authorise(DateTime::UNIX_EPOCH));
    let voiding = asked().when(done(Call::Authorise)).then(State::Voiding, &[], Some(Call::Void));
    voiding.when(done(Call::Void)).then(State::Voided, &["voided 25.98 EUR"], None);
    asked().when(answered(Call::Authorise, GatewayReply::NotAsked)).then(State::Voided, &["voided 0.00 EUR"], None);
    let said = ["declined card_declined retryable false"];
    asked().when(refused(Call::Authorise, "card_declined")).then(State::Declined, &said, None);
}

#[test]
fn released_after_authorised_voids_once() {
    let voiding = authorized().when(released()).then(State::Voiding, &[], Some(Call::Void));
    let voiding = voiding.when(released()).then_refused().when(confirmed()).then_refused();
    let voided = voiding.when(done(Call::Void)).then(State::Voided, &["voided 25.98 EUR"], None);
    voided.when(done(Call::Void)).then_refused();
}

#[test]
fn a_failed_capture_is_voided_when_the_goods_are_given_back() {
    let said = ["capture_failed charge_expired_for_capture"];
    let no = || refused(Call::Capture, "charge_expired_for_capture");
    let failed = capturing().when(no()).then(State::CaptureFailed, &said, None);
    failed.when(restocked(1, "TEA", 2)).then(State::Voiding, &[], Some(Call::Void));
    let undone = capturing().when(released()).then(State::Capturing, &[], None);
    let voiding = undone.when(no()).then(State::Voiding, &[], Some(Call::Void));
    assert_eq!(voiding.refunds[0].state, RefundState::Moot);
}

#[test]
fn restocked_while_capturing_refunds_its_lines_after_the_capture() {
    let undone = capturing().when(restocked(1, "TEA", 2)).then(State::Capturing, &[], None);
    let call = Some(Call::Refund(cause(1)));
    let refunding = undone.when(done(Call::Capture)).then(State::Captured, &["captured 25.98 EUR"], call);
    let said = ["refunded 20.00 EUR remaining 5.98 EUR"];
    refunding.when(done(Call::Refund(cause(1)))).then(State::Captured, &said, None);
}

#[test]
fn refunds_queue_behind_each_other_and_never_exceed_what_remains() {
    let first = Call::Refund(cause(2));
    let refunding = captured().when(restocked(2, "TEA", 2)).then(State::Captured, &[], Some(first));
    let queued = refunding.when(released()).then(State::Captured, &[], None);
    let third = queued.when(returned(3, "POT", 1)).then(State::Captured, &[], None);
    let second = Call::Refund(cause(1));
    let said = ["refunded 20.00 EUR remaining 5.98 EUR"];
    let refunding = third.when(done(first)).then(State::Captured, &said, Some(second));
    let all = refunding.when(done(second)).then(State::Captured, &["refunded 5.98 EUR remaining 0.00 EUR"], None);
    assert_eq!(status(all.state, false, 2598, all.refunded().unwrap().amount()), "refunded");
    all.when(done(second)).then_refused();
}

#[test]
fn a_refund_that_the_gateway_refuses_is_told_and_leaves_the_money_refundable() {
    let refund = Call::Refund(cause(1));
    let refunding = captured().when(released()).then(State::Captured, &[], Some(refund));
    let said = ["refund_failed 25.98 EUR expired_card"];
    let failed = refunding.when(refused(refund, "expired_card")).then(State::Captured, &said, None);
    failed.when(returned(2, "POT", 1)).then(State::Captured, &[], Some(Call::Refund(cause(2))));
}

#[test]
fn a_refund_that_comes_back_after_it_was_done_is_told_once_and_leaves_the_money_refundable() {
    let came_back = || -> Happens { Box::new(|payment| payment.refund_came_back(cause(1), "unknown".to_owned())) };
    let refund = Call::Refund(cause(1));
    let refunding = captured().when(returned(1, "TEA", 2)).then(State::Captured, &[], Some(refund));
    assert!(came_back()(&mut refunding.clone()).is_err(), "its answer is still awaited");
    let done = refunding.when(done(refund)).then(State::Captured, &["refunded 20.00 EUR remaining 5.98 EUR"], None);
    let mut failed = done.when(came_back()).then(State::Captured, &["refund_failed 20.00 EUR unknown"], None);
    assert_eq!((failed.refunds[0].state, failed.refunded()), (RefundState::Failed, Some(eur(0))));
    assert!(came_back()(&mut failed).is_err());
    assert_eq!(failed.refund(cause(2), eur(2598)).unwrap().call, Some(Call::Refund(cause(2))));
}

#[test]
fn the_same_cause_refunds_once() {
    let refund = Call::Refund(cause(2));
    let refunding = captured().when(returned(2, "TEA", 1)).then(State::Captured, &[], Some(refund));
    let again = refunding.when(returned(2, "TEA", 1)).then(State::Captured, &[], None);
    again.when(done(refund)).then(State::Captured, &["refunded 10.00 EUR remaining 15.98 EUR"], None);
}

#[test]
fn goods_that_were_never_ordered_are_for_a_person_to_look_at() {
    let came = captured().when(restocked(1, "CAKE", 1));
    assert_eq!(came.step, Err(Refused::NotOrdered { sku: "CAKE".parse().unwrap() }));
}

#[test]
fn a_return_refunds_only_what_was_captured() {
    authorized().when(returned(1, "TEA", 1)).then_refused();
    new().when(returned(1, "TEA", 1)).then_refused();
}

#[test]
fn no_answer_is_told_once_a_call_and_ends_with_the_answer() {
    let nothing = || answered(Call::Authorise, GatewayReply::Nothing);
    let unknown = authorizing().when(nothing()).then(State::Authorizing, &["unknown Authorise"], None);
    assert_eq!(status(unknown.state, unknown.unanswered, 0, 0), "unknown");
    let still = unknown.when(nothing()).then(State::Authorizing, &[], None);
    let known = still.when(done(Call::Authorise)).then(State::Authorized, &["authorized 25.98 EUR"], None);
    let capturing = known.when(confirmed()).then(State::Capturing, &[], Some(Call::Capture));
    let said = ["unknown Capture"];
    capturing.when(answered(Call::Capture, GatewayReply::Nothing)).then(State::Capturing, &said, None);
    assert_eq!(Call::Refund(cause(1)).operation(), GatewayOperation::Refund);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    for payment in [given(vec![]), given(vec![placed()]), authorized(), captured()] {
        for call in [Call::Authorise, Call::Capture, Call::Void, Call::Refund(cause(9))] {
            assert_eq!(payment.clone().when(done(call)).then_refused(), payment);
        }
    }
    authorizing().when(done(Call::Capture)).then_refused().when(done(Call::Void)).then_refused();
    capturing().when(done(Call::Authorise)).then_refused();
}

#[test]
fn only_what_is_authorised_is_captured() {
    for payment in
        [given(vec![]), authorizing(), capturing(), captured(), given(vec![released()]), given(vec![short()])]
    {
        payment.when(confirmed()).then_refused();
    }
}

#[test]
fn the_key_of_a_call_stays_the_same_over_every_retry() {
    let payment = authorizing();
    assert_eq!(payment.key(Call::Authorise), "00000000-0000-0000-0000-000000000007:authorise:1");
    let still = payment.when(answered(Call::Authorise, GatewayReply::Nothing)).payment;
    assert_eq!(still.key(Call::Authorise), "00000000-0000-0000-0000-000000000007:authorise:1");
    assert_eq!(still.key(Call::Refund(cause(1))), cause(1).to_string());
}
