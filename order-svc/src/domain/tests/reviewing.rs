//! Orders that staff hold for review before they are confirmed.

use super::*;
use crate::domain::{Review, WaitingFor};

fn held_event() -> Event {
    OrderHeld { order_id: id() }.into()
}

fn released_event() -> Event {
    OrderReleased { order_id: id() }.into()
}

fn confirmed_event() -> Event {
    OrderConfirmed { order_id: id() }.into()
}

fn waiting(progress: &Progress) -> (&'static str, &'static str) {
    let WaitingFor { fact, from } = progress.waiting_for().unwrap();
    (fact, from)
}

#[test]
fn a_held_order_is_not_confirmed_by_its_money_and_waits_for_staff() {
    let held = given([]).when(Happens::StaffHold).then(Status::Pending, [held_event()]);
    assert_eq!(waiting(&held), ("stock.reserved", "stock-svc"), "what machines do goes on");
    let paid = given([Happens::StaffHold, reserved()]).when(authorized()).then(Status::Pending, []);
    assert_eq!(waiting(&paid), ("order.confirmed", "staff"));
    assert_eq!(paid.patience(), Some(chrono::TimeDelta::days(1)));
}

#[test]
fn its_release_confirms_an_order_whose_money_is_there_and_lets_any_other_go_on() {
    let paid = [Happens::StaffHold, reserved(), authorized()];
    let confirmed = given(paid.clone()).when(Happens::StaffRelease);
    confirmed.then(Status::Confirmed, [released_event(), confirmed_event()]);
    let early = [Happens::StaffHold, reserved()];
    given(early.clone()).when(Happens::StaffRelease).then(Status::Pending, [released_event()]);
    let [hold, reserved] = early;
    given([hold, reserved, Happens::StaffRelease]).when(authorized()).then(Status::Confirmed, [confirmed_event()]);
    let [hold, reserved, authorized] = paid;
    let captured_by_hand = [hold, reserved, authorized, captured()];
    given(captured_by_hand).when(Happens::StaffRelease).then(Status::Confirmed, [released_event(), confirmed_event()]);
}

#[test]
fn holding_and_releasing_again_say_nothing_new() {
    given([Happens::StaffHold]).when(Happens::StaffHold).then(Status::Pending, []);
    let confirmed = [reserved(), Happens::StaffHold, authorized(), Happens::StaffRelease];
    given(confirmed).when(Happens::StaffRelease).then(Status::Confirmed, []);
    given([Happens::StaffHold, Happens::StaffRelease]).when(Happens::StaffHold).then(Status::Pending, [held_event()]);
}

#[test]
fn an_order_is_held_only_before_the_pivot_and_released_only_if_it_was_held() {
    let late = Refused::TooLateToHold(Status::Confirmed);
    given([reserved(), authorized()]).when(Happens::StaffHold).then_refused(late);
    let ending = Status::Cancelling(CancelReason::Customer);
    given([Happens::CustomerCancels]).when(Happens::StaffHold).then_refused(Refused::TooLateToHold(ending));
    given([reserved()]).when(Happens::StaffRelease).then_refused(Refused::NotHeld(Status::Pending));
    for past in [vec![Happens::StaffHold], vec![Happens::StaffHold, Happens::StaffRelease]] {
        let cancelled = past.into_iter().chain([Happens::CustomerCancels]);
        given(cancelled).when(Happens::StaffRelease).then_refused(Refused::NotHeld(ending));
    }
}

#[test]
fn neither_the_deadline_nor_the_end_of_the_hold_ends_an_order_that_waits_for_review_alone() {
    let paid = [Happens::StaffHold, reserved(), authorized()];
    given(paid.clone()).when(Happens::DeadlinePasses).then_refused(Refused::Held);
    given(paid.clone()).when(expired()).then(Status::Pending, []);
    let [hold, reserved_, authorized_] = paid;
    given([hold, reserved_, authorized_, expired()])
        .when(Happens::StaffRelease)
        .then(Status::Confirmed, [released_event(), confirmed_event()]);
}

#[test]
fn a_held_order_whose_money_is_not_there_ends_as_any_other() {
    for end in [Happens::DeadlinePasses, expired()] {
        let ended = given([Happens::StaffHold, reserved()])
            .when(end)
            .then(Status::Cancelling(CancelReason::Timeout), [cancel_requested(CancelReason::Timeout)]);
        assert_eq!(ended.facts.review, None);
    }
}

#[test]
fn a_held_order_ends_when_its_money_is_gone_since_no_deadline_would_end_it() {
    for gone in [capture_failed(), voided()] {
        given([Happens::StaffHold, reserved(), authorized()])
            .when(gone)
            .then(Status::Cancelling(CancelReason::PaymentExpired), [cancel_requested(CancelReason::PaymentExpired)]);
    }
}

#[test]
fn what_staff_said_of_a_held_order_is_gone_from_it_once_that_ends_or_goes_on() {
    let held = given([]).when(Happens::StaffHold).then(Status::Pending, [held_event()]);
    assert!(matches!(held.facts.review, Some(Review::Held { .. })));
    let stored = serde_json::to_value(&held.facts).unwrap();
    assert_eq!(serde_json::from_value::<crate::domain::Facts>(stored).unwrap(), held.facts);
    let by_staff = Happens::StaffCancel(StaffReason::FraudSuspected);
    let cancelled = given([Happens::StaffHold])
        .when(by_staff)
        .then(Status::Cancelling(CancelReason::Staff), [cancel_requested(CancelReason::Staff)]);
    assert_eq!(cancelled.facts.review, None);
    let released = given([Happens::StaffHold]).when(Happens::StaffRelease).then(Status::Pending, [released_event()]);
    assert_eq!(released.facts.review, Some(Review::Released));
}
