//! Refunds that wait for one whose end nobody knows yet: it may be refused.

use shared_events::EventId;

use super::*;

fn staff(number: u128, amount: i64) -> Happens {
    Box::new(move |payment| payment.refund(cause(number), eur(amount)))
}

/// Staff's refund of so much is at the gateway.
fn staff_refunding(amount: i64) -> Payment {
    captured().when(staff(9, amount)).then(State::Captured, &[], Some(STAFFS))
}

fn all_restocked() -> Happens {
    Box::new(|payment| {
        let lines = vec![line("TEA", 2), line("POT", 1)];
        let back = StockRestocked { order_id: payment.order_id, cause: RestockCause::Cancelled, lines };
        payment.restocked(cause(1), &back)
    })
}

fn states(payment: &Payment) -> Vec<RefundState> {
    payment.refunds.iter().map(|refund| refund.state).collect()
}

const STAFFS: Call = Call::Refund(RefundId(Uuid::from_u128(9)));
const UNDO: Call = Call::Refund(RefundId(Uuid::from_u128(1)));

#[test]
fn an_undo_heard_while_a_refund_of_everything_is_in_flight_follows_when_that_one_is_refused() {
    for undo in [all_restocked, released] {
        let queued = staff_refunding(2598).when(undo()).then(State::Captured, &[], None);
        let said = ["refund_failed 25.98 EUR expired_card"];
        let undoing = queued.when(refused(STAFFS, "expired_card")).then(State::Captured, &said, Some(UNDO));
        undoing.when(done(UNDO)).then(State::Captured, &["refunded 25.98 EUR remaining 0.00 EUR"], None);
    }
}

#[test]
fn an_undo_heard_while_a_refund_of_a_part_is_in_flight_is_whole_when_that_one_is_refused() {
    let queued = staff_refunding(1000).when(all_restocked()).then(State::Captured, &[], None);
    let said = ["refund_failed 10.00 EUR expired_card"];
    let undoing = queued.when(refused(STAFFS, "expired_card")).then(State::Captured, &said, Some(UNDO));
    undoing.when(done(UNDO)).then(State::Captured, &["refunded 25.98 EUR remaining 0.00 EUR"], None);
}

#[test]
fn a_return_heard_while_a_refund_of_everything_is_in_flight_is_refunded_when_that_one_is_refused() {
    let queued = staff_refunding(2598).when(returned(1, "POT", 1)).then(State::Captured, &[], None);
    let said = ["refund_failed 25.98 EUR expired_card"];
    let undoing = queued.when(refused(STAFFS, "expired_card")).then(State::Captured, &said, Some(UNDO));
    undoing.when(done(UNDO)).then(State::Captured, &["refunded 5.98 EUR remaining 20.00 EUR"], None);
}

#[test]
fn what_was_called_off_is_refunded_at_the_price_of_its_lines_and_the_rest_stays_paid() {
    let called_off = back(1, "POT", 1, RestockCause::CalledOff);
    let refunding = captured().when(called_off).then(State::Captured, &[], Some(UNDO));
    refunding.when(done(UNDO)).then(State::Captured, &["refunded 5.98 EUR remaining 20.00 EUR"], None);
}

#[test]
fn an_undo_that_finds_everything_back_is_closed_without_a_call_and_told_by_what_gave_it_back() {
    let queued = staff_refunding(2598).when(all_restocked()).then(State::Captured, &[], None);
    let all = ["refunded 25.98 EUR remaining 0.00 EUR"];
    let back = queued.when(done(STAFFS)).then(State::Captured, &all, None);
    assert_eq!(states(&back), [RefundState::Done, RefundState::Moot]);
    let still = back.when(returned(3, "POT", 1)).then(State::Captured, &[], None);
    assert_eq!(states(&still), [RefundState::Done, RefundState::Moot, RefundState::Moot]);
    assert_eq!(still.refunded(), Some(eur(2598)));
}

#[test]
fn an_undo_gives_back_what_the_refund_before_it_left() {
    let queued = staff_refunding(2000).when(all_restocked()).then(State::Captured, &[], None);
    let said = ["refunded 20.00 EUR remaining 5.98 EUR"];
    let undoing = queued.when(done(STAFFS)).then(State::Captured, &said, Some(UNDO));
    assert_eq!(undoing.refunds[1].amount, eur(598));
    undoing.when(done(UNDO)).then(State::Captured, &["refunded 5.98 EUR remaining 0.00 EUR"], None);
}

#[test]
fn what_waits_behind_an_undo_follows_when_that_one_is_refused() {
    let third = Call::Refund(cause(3));
    let refunding = captured().when(returned(2, "TEA", 2)).then(State::Captured, &[], Some(Call::Refund(cause(2))));
    let queued = refunding.when(released()).payment.when(returned(3, "POT", 1)).then(State::Captured, &[], None);
    let undoing = queued.when(done(Call::Refund(cause(2)))).payment;
    let said = ["refund_failed 5.98 EUR expired_card"];
    undoing.when(refused(UNDO, "expired_card")).then(State::Captured, &said, Some(third));
}

#[test]
fn a_refund_that_was_refused_is_settled_outside_and_is_then_neither_asked_for_nor_taken_back() {
    let settle = || -> Happens { Box::new(|payment| payment.settle_outside(cause(1))) };
    let undoing = captured().when(released()).then(State::Captured, &[], Some(UNDO));
    assert!(matches!(settle()(&mut undoing.clone()), Err(Refused::RefundNotFailed { state: "calling" })));
    let failed = undoing.when(refused(UNDO, "expired_card")).payment;
    let settled = failed.when(settle());
    assert_eq!(settled.step.as_ref().unwrap().outside, Some((cause(1), eur(2598))));
    let mut settled = settled.then(State::Captured, &["refunded 25.98 EUR remaining 0.00 EUR"], None);
    assert_eq!((states(&settled), settled.refunded()), (vec![RefundState::Done], Some(eur(2598))));
    assert!(matches!(settle()(&mut settled), Err(Refused::RefundNotFailed { state: "done" })));
    assert!(settled.refund_came_back(cause(1), "unknown".to_owned()).is_err());
}

#[test]
fn staff_give_nothing_back_of_what_an_undo_waits_for() {
    let queued = staff_refunding(1000).when(released()).then(State::Captured, &[], None);
    let refused = queued.when(staff(8, 100));
    assert_eq!(refused.step, Err(Refused::MoreThanRemains { wanted: eur(100), remaining: eur(0) }));
    assert_eq!(refused.payment.refunds.len(), 2);
}

fn event(number: u128) -> RefundId {
    RefundId::caused_by(EventId(Uuid::from_u128(number)))
}

fn disputed(amount: i64) -> Happens {
    Box::new(move |payment| {
        let step = payment.given_back_elsewhere("dp_1", eur(amount))?;
        Ok(step.then(payment.next_refund()))
    })
}

fn won() -> Happens {
    Box::new(|payment| {
        let step = payment.refund_came_back(refund_made_elsewhere("dp_1"), "dispute_won".to_owned())?;
        Ok(step.then(payment.next_refund()))
    })
}

fn pot_called_off() -> Happens {
    Box::new(|payment| {
        let (order_id, lines) = (payment.order_id, vec![line("POT", 1)]);
        payment.restocked(event(5), &StockRestocked { order_id, cause: RestockCause::CalledOff, lines })
    })
}

#[test]
fn what_a_dispute_displaced_is_asked_for_when_it_is_won() {
    let all = captured().when(disputed(2598)).then(State::Captured, &["refunded 25.98 EUR remaining 0.00 EUR"], None);
    let displaced = all.when(pot_called_off()).then(State::Captured, &[], None);
    assert_eq!(states(&displaced), [RefundState::Done, RefundState::Moot]);
    let said = ["refund_failed 25.98 EUR dispute_won"];
    let asked = displaced.when(won()).then(State::Captured, &said, Some(Call::Refund(event(5))));
    asked.when(done(Call::Refund(event(5)))).then(State::Captured, &["refunded 5.98 EUR remaining 20.00 EUR"], None);
}

#[test]
fn what_a_dispute_cut_off_is_asked_for_when_it_is_won_by_a_refund_of_its_own() {
    let cut = captured().when(disputed(2298)).payment.when(pot_called_off()).payment;
    let done_in_part = cut.when(done(Call::Refund(event(5)))).payment;
    assert_eq!((done_in_part.refunds[1].amount, done_in_part.refunds[1].wanted), (eur(300), eur(598)));
    let again = done_in_part.when(won()).payment;
    let rest = again.refunds[2].clone();
    assert_eq!((rest.amount, rest.state, rest.id.is_caused()), (eur(298), RefundState::Calling, true));
    let all = again.when(done(Call::Refund(rest.id))).payment;
    assert_eq!(all.refunded(), Some(eur(598)), "as much as was called off");
}

#[test]
fn what_staff_asked_for_and_a_dispute_displaced_is_theirs_to_ask_again_when_it_is_won() {
    let queued = staff_refunding(1000).when(staff(8, 500)).then(State::Captured, &[], None);
    let (code, elsewhere) = ("charge_already_refunded".to_owned(), vec![("dp_1".to_owned(), eur(2598))]);
    let displaced = queued.when(answered(STAFFS, GatewayReply::Overtaken { code, elsewhere })).payment;
    assert_eq!(states(&displaced), [RefundState::Moot, RefundState::Moot, RefundState::Done]);
    displaced.when(won()).then(State::Captured, &["refund_failed 25.98 EUR dispute_won"], None);
}

#[test]
fn a_dispute_of_more_than_is_left_is_booked_as_far_as_it_fits_and_nobody_is_paid_twice() {
    let in_part = staff_refunding(598).when(done(STAFFS)).payment;
    let taken = in_part.when(disputed(2598)).then(State::Captured, &["refunded 20.00 EUR remaining 0.00 EUR"], None);
    assert_eq!(taken.refunds[1].beyond_captured(), Some(eur(598)));
    let undone = taken.when(released()).then(State::Captured, &[], None);
    assert_eq!(states(&undone), [RefundState::Done, RefundState::Done, RefundState::Moot]);
    // What staff gave back bounces: that money had been taken too.
    let bounced = undone.when(Box::new(|payment| {
        let step = payment.refund_came_back(cause(9), "unknown".to_owned())?;
        Ok(step.then(payment.next_refund()))
    }));
    assert_eq!(bounced.step.as_ref().unwrap().made_good, [(refund_made_elsewhere("dp_1"), eur(598))]);
    let said = ["refund_failed 5.98 EUR unknown", "refunded 5.98 EUR remaining 0.00 EUR"];
    let mut all = bounced.then(State::Captured, &said, None);
    assert_eq!((all.refunded(), all.refunds[1].beyond_captured()), (Some(eur(2598)), None));
    assert!(matches!(all.settle_outside(cause(9)), Err(Refused::MoreThanRemains { .. })), "paid twice");
}

#[test]
fn a_dispute_of_what_has_gone_back_already_is_shown_and_moves_nothing() {
    let all = staff_refunding(2598).when(done(STAFFS)).payment;
    let mut taken = all.when(disputed(2598)).then(State::Captured, &[], None);
    assert_eq!((taken.refunds[1].amount, taken.refunds[1].beyond_captured()), (eur(0), Some(eur(2598))));
    assert!(taken.given_back_elsewhere("dp_1", eur(2598)).is_err(), "once");
    taken.when(won()).then(State::Captured, &[], None);
}

#[test]
fn no_refund_is_asked_for_under_a_key_that_the_gateway_has_refused() {
    let undo = Call::Refund(event(1));
    let overtaken = |name: &str, amount| {
        let (code, elsewhere) = ("charge_already_refunded".to_owned(), vec![(name.to_owned(), eur(amount))]);
        answered(undo, GatewayReply::Overtaken { code, elsewhere })
    };
    let asked = captured().when(Box::new(|payment| payment.released(event(1)))).then(State::Captured, &[], Some(undo));
    let mut keys = vec![asked.key(undo)];
    let cut = asked.when(overtaken("re_1", 1000)).payment;
    keys.push(cut.key(undo));
    let displaced = cut.when(overtaken("dp_1", 1598)).payment;
    let again = displaced.when(won()).then(State::Captured, &["refund_failed 15.98 EUR dispute_won"], Some(undo));
    assert_eq!(again.refunds[0].amount, eur(1598), "as much as was refused before");
    keys.push(again.key(undo));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
}

#[test]
fn a_refund_that_is_cut_twice_owes_each_rest_under_an_id_of_its_own() {
    let undo = Call::Refund(event(1));
    let asked = captured().when(disputed(1000)).payment.when(Box::new(|payment| payment.released(event(1)))).payment;
    let split = asked.when(won()).payment;
    let (code, elsewhere) = ("charge_already_refunded".to_owned(), vec![("re_1".to_owned(), eur(1300))]);
    let cut_again = split.when(answered(undo, GatewayReply::Overtaken { code, elsewhere })).payment;
    let made = cut_again.when(done(undo)).payment;
    assert_eq!(made.refunds.iter().find(|refund| refund.id == event(1)).unwrap().amount, eur(1298));
    let bounced = made.when(Box::new(|payment| {
        let step = payment.refund_came_back(refund_made_elsewhere("re_1"), "unknown".to_owned())?;
        Ok(step.then(payment.next_refund()))
    }));
    let mut payment = bounced.payment;
    let mut ids: Vec<_> = payment.refunds.iter().map(|refund| refund.id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), payment.refunds.len(), "two refunds under one id: {:?}", payment.refunds);
    let asked_for = |payment: &Payment| {
        payment.refunds.iter().find(|refund| refund.state == RefundState::Calling).map(|refund| refund.id)
    };
    while let Some(next) = asked_for(&payment) {
        payment = payment.when(done(Call::Refund(next))).payment;
    }
    assert_eq!(payment.refunded(), Some(eur(2598)), "all that was owed");
}
