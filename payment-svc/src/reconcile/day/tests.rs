use chrono::{DateTime, Utc};
use shared_events::RefundId;
use uuid::Uuid;

use super::merged::{Books, Movement, Operation, State, merged};
use super::*;
use crate::domain::refund_made_elsewhere;
use crate::gateway::{BalanceMovement, Moved};
use crate::store::booked::{Booked, Whose};
use crate::store::ledger::{Entry, OUTSIDE, REVERSAL};

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

fn whose(under_way: bool) -> Whose {
    Whose { payment: Uuid::from_u128(1), order: Uuid::from_u128(2), intent: Some("pi_1".to_owned()), under_way }
}

fn line(operation: &str, amount: i64, key: &str, second: i64) -> Booked {
    let entry = Entry {
        operation: operation.to_owned(),
        amount,
        currency: "EUR".to_owned(),
        key: key.to_owned(),
        debit: String::new(),
        credit: String::new(),
        at: at(second),
    };
    Booked { whose: whose(false), entry: Some(entry) }
}

fn moved(moved: Moved, id: &str, ours: Option<RefundId>, amount: i64, second: i64) -> BalanceMovement {
    let (intent, id, currency) = ("pi_1".to_owned(), id.to_owned(), "EUR".to_owned());
    BalanceMovement { moved, at: at(second), intent, id, ours, amount, currency }
}

fn compared(lines: &[Booked], movements: &[BalanceMovement], before: &[BalanceMovement]) -> Vec<Movement> {
    merged(&Books::new(lines), lines, (movements, before), at(100_000))
}

fn told(found: &[Movement]) -> Vec<(Operation, Option<i64>, Option<i64>, State)> {
    let amounts = |it: &Movement| (it.ledger.map(|side| side.amount), it.gateway.map(|side| side.amount));
    found.iter().map(|it| (it.operation, amounts(it).0, amounts(it).1, it.state)).collect()
}

#[test]
fn each_refund_is_compared_by_its_own_name_and_what_came_back_by_itself() {
    let ours = RefundId::new();
    let lines = [
        line("capture", 2598, "p:capture:1", 1),
        line("refund", 598, &ours.to_string(), 2),
        line(REVERSAL, 598, &format!("{ours}:reversal"), 3),
        line("refund", 100, "dp_1", 4),
    ];
    let gateway = [
        moved(Moved::GivenBack, "dp_1", None, 100, 4),
        moved(Moved::CameBack, "re_1", Some(ours), 598, 3),
        moved(Moved::GivenBack, "re_1", Some(ours), 598, 2),
        moved(Moved::Captured, "ch_1", None, 2598, 1),
    ];
    let found = compared(&lines, &gateway, &[]);
    assert!(found.iter().all(|it| it.state == State::Same), "{found:?}");
    let refunds: Vec<_> = found.iter().map(|it| it.refund).collect();
    assert_eq!(refunds, [Some(refund_made_elsewhere("dp_1")), Some(ours), Some(ours), None]);
}

#[test]
fn what_only_one_side_has_and_what_they_have_differently_is_told() {
    let lines = [line("capture", 2598, "p:capture:1", 1), line("refund", 598, &RefundId::new().to_string(), 2)];
    let gateway = [moved(Moved::GivenBack, "re_2", None, 50, 3), moved(Moved::Captured, "ch_1", None, 2000, 1)];
    let expected = [
        (Operation::Refund, None, Some(50), State::Different),
        (Operation::Refund, Some(598), None, State::Unchecked),
        (Operation::Capture, Some(2598), Some(2000), State::Different),
    ];
    assert_eq!(told(&compared(&lines, &gateway, &[])), expected);
}

#[test]
fn what_happened_before_midnight_and_was_entered_after_it_is_of_the_day_before() {
    let lines = [line("capture", 2598, "p:capture:1", 0)];
    assert!(compared(&lines, &[], &[moved(Moved::Captured, "ch_1", None, 2598, -1)]).is_empty());
}

#[test]
fn a_difference_whose_answer_is_awaited_is_under_way() {
    let waiting = Booked { whose: whose(true), entry: None };
    let found = compared(&[waiting], &[moved(Moved::Captured, "ch_1", None, 2598, 1)], &[]);
    assert_eq!(told(&found), [(Operation::Capture, None, Some(2598), State::UnderWay)]);
    let lines = [Booked { whose: whose(false), entry: None }];
    let just_now = [moved(Moved::GivenBack, "re_1", None, 50, 99_990)];
    assert_eq!(compared(&lines, &just_now, &[])[0].state, State::UnderWay, "its webhook is on its way");
}

#[test]
fn what_went_back_past_the_gateway_is_no_difference_and_counts_as_given_back() {
    let id = RefundId::new();
    let lines = [
        line("refund", 598, &id.to_string(), 1),
        line(REVERSAL, 598, &format!("{id}:reversal"), 2),
        line(OUTSIDE, 598, &format!("{id}:outside"), 3),
    ];
    let found = compared(&lines, &[moved(Moved::GivenBack, "re_1", Some(id), 598, 1)], &[]);
    let outside = found.iter().find(|it| it.operation == Operation::RefundOutside).unwrap();
    assert_eq!((outside.state, outside.refund, outside.given_back), (State::Outside, Some(id), 1196));
}

#[test]
fn a_refund_that_was_made_good_is_one_movement_with_all_of_it() {
    let lines = [line("refund", 50, "dp_1", 1), line("refund", 50, "dp_1:100", 9)];
    let found = compared(&lines, &[moved(Moved::GivenBack, "dp_1", None, 100, 1)], &[]);
    assert_eq!(told(&found), [(Operation::Refund, Some(100), Some(100), State::Same)]);
}

#[test]
fn money_that_no_payment_has_is_a_difference() {
    let found = compared(&[], &[moved(Moved::Captured, "ch_9", None, 5, 1)], &[]);
    assert_eq!((found[0].whose.clone(), found[0].state), (None, State::Different));
}

#[test]
fn more_lines_than_fit_are_cut_where_a_second_is_whole() {
    let mut lines: Vec<_> = (0..=LINES).map(|second| line("capture", 1, "k", LINES - second)).collect();
    assert_eq!(whole(&mut lines, at(-50), at(5_000)), at(1));
    assert_eq!(lines.len(), 1_000);
    assert_eq!(whole(&mut lines, at(-50), at(5_000)), at(-50), "these fit");
    let mut lines: Vec<_> = (0..=LINES).map(|_| line("capture", 1, "k", 4_999)).collect();
    assert_eq!(whole(&mut lines, at(-50), at(5_000)), at(4_999));
}
