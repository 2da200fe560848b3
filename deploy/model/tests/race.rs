//! The races of docs/RACES.md, as far as the state machines alone can show them: a story up to the race, and then
//! everything that can follow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scenes;

use std::collections::BTreeSet;

use quadrille_model::{Play, Story, Until, explore};
use scenes::{PLAIN, SCARCE};
use shared_events::Topic;
use stock_svc::domain::{Level, Unadjustable};

const HELD: [&str; 2] = ["stock-svc hears order.placed.v1", "order-svc hears stock.reserved.v1"];
const ASKED: [&str; 2] = ["payment-svc hears order.placed.v1", "payment-svc hears stock.reserved.v1"];
const CONFIRMED: [&str; 3] =
    ["the gateway authorises", "order-svc hears payment.authorized.v1", "stock-svc hears payment.authorized.v1"];
const COMMITTED: [&str; 2] = ["stock-svc hears order.confirmed.v1", "order-svc hears stock.committed.v1"];
const CAPTURED: [&str; 3] =
    ["payment-svc hears order.confirmed.v1", "the gateway captures", "order-svc hears payment.captured.v1"];
const RELEASED: [&str; 2] =
    ["stock-svc hears order.cancel_requested.v1", "payment-svc hears order.cancel_requested.v1"];
const CANCELS: [&str; 1] = ["the customer cancels"];

fn asked() -> Story {
    Story::of(PLAIN).then(HELD).then(ASKED)
}

fn confirmed() -> Story {
    asked().then(CONFIRMED)
}

fn packed() -> Story {
    confirmed().then(COMMITTED).then(CAPTURED).then(["stock-svc hears payment.captured.v1"])
}

fn only(end: &str) -> BTreeSet<String> {
    BTreeSet::from([end.to_owned()])
}

fn any_of<const N: usize>(ends: [&str; N]) -> BTreeSet<String> {
    ends.map(str::to_owned).into()
}

#[test]
fn race_delivered_twice_changes_nothing_even_past_the_inboxes() {
    let play = Play { returns: true, retries: true, ..SCARCE };
    let (once, twice) =
        (explore(&play, Until::Exhausted), explore(&Play { forgetful: true, ..play }, Until::Exhausted));
    assert_eq!((twice.states, twice.steps, twice.ends), (once.states, once.steps, once.ends));
}

#[test]
fn race_undo_before_do_leaves_a_tombstone_that_is_answered_once_and_never_acts() {
    let story = Story::of(PLAIN).then(CANCELS).then(HELD).then(["stock-svc hears order.cancel_requested.v1"]);
    let heard = story.then(["payment-svc hears stock.reserved.v1", "payment-svc hears stock.released.v1"]);
    assert_eq!(heard.said(Topic::Payments), [""; 0]);
    let told = heard.then(["payment-svc hears order.placed.v1"]);
    assert_eq!(told.said(Topic::Payments), ["voided"]);
    assert_eq!(told.ends(&["authorized", "declined", "captured"]), only("cancelled customer"));
}

#[test]
fn race_cancel_races_gateway_what_it_authorises_is_voided_and_never_announced() {
    let cancelled = asked().then(CANCELS).then(RELEASED).then(["payment-svc hears stock.released.v1"]);
    assert_eq!(cancelled.ends(&["authorized", "confirmed", "captured"]), only("cancelled customer"));
    let voided = cancelled.then(["the gateway authorises", "the gateway voids"]);
    assert_eq!(voided.said(Topic::Payments), ["voided"]);
}

#[test]
fn race_cancel_races_gateway_what_it_captures_is_refunded() {
    let capturing = confirmed().then(COMMITTED).then(["payment-svc hears order.confirmed.v1"]).then(CANCELS);
    let undone = capturing.then(["payment-svc hears stock.committed.v1"]).then(RELEASED);
    let captured = undone.then(["payment-svc hears stock.restocked.v1", "the gateway captures", "the gateway refunds"]);
    assert_eq!(captured.said(Topic::Payments), ["authorized", "captured", "refunded"]);
    assert_eq!(captured.ends(&["created", "dispatched"]), only("cancelled customer"));
}

#[test]
fn race_cancel_races_confirm_a_cancel_that_commits_first_lets_nothing_be_confirmed() {
    let authorised = asked().then(["the gateway authorises"]).then(CANCELS);
    assert_eq!(authorised.ends(&["confirmed", "captured"]), only("cancelled customer"));
}

#[test]
fn race_cancel_races_confirm_a_cancel_that_commits_second_is_undone_or_too_late_and_never_half() {
    assert_eq!(confirmed().then(CANCELS).ends(&[]), any_of(["cancelled customer", "completed"]));
}

#[test]
fn race_cancel_races_dispatch_a_parcel_that_left_first_is_delivered() {
    let left = packed().then(["the warehouse dispatches the parcel"]).then(CANCELS);
    assert_eq!(left.ends(&["restocked", "refunded", "cancelled"]), only("completed"));
}

#[test]
fn race_cancel_races_dispatch_a_parcel_that_was_called_off_first_never_leaves() {
    let called_off = packed().then(CANCELS).then(["stock-svc hears order.cancel_requested.v1"]);
    assert_eq!(called_off.ends(&["dispatched", "cancel_refused"]), only("cancelled customer"));
}

fn on_its_way() -> Story {
    let play = Play { losses: true, ..PLAIN };
    let firm = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    firm.then(["stock-svc hears payment.captured.v1", "the warehouse dispatches the parcel"])
}

#[test]
fn race_cancel_races_dispatch_a_parcel_that_left_and_was_lost_is_refunded_and_never_restocked() {
    let lost = on_its_way().then(CANCELS).then(["the carrier loses the parcel"]);
    assert_eq!(lost.ends(&["restocked", "cancelled"]), only("completed"));
}

#[test]
fn race_cancel_races_dispatch_of_a_part_and_what_is_still_there_leaves_too() {
    let play = Play { lines: 2, splits: true, ..PLAIN };
    let firm = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let parts = firm.then(["stock-svc hears payment.captured.v1", "the warehouse splits the parcel"]);
    let left = parts.clone().then(["the warehouse dispatches the part"]).then(CANCELS);
    assert_eq!(left.ends(&["restocked", "refunded"]), only("completed"));
    let called_off = parts.then(CANCELS).then(["stock-svc hears order.cancel_requested.v1"]);
    assert_eq!(called_off.ends(&["dispatched", "cancel_refused"]), only("cancelled customer"));
}

/// One of two shipments has left, and order-svc knows it.
fn partly_gone(play: Play) -> Story {
    let firm = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let parts = firm.then(["stock-svc hears payment.captured.v1", "the warehouse splits the parcel"]);
    let gone = parts.then(["the warehouse dispatches the part", "order-svc hears shipment.created.v1"]);
    let heard = gone.then(["order-svc hears shipment.cancelled.v1", "order-svc hears shipment.created.v1"]);
    heard.then(["order-svc hears shipment.created.v1", "order-svc hears shipment.dispatched.v1"])
}

const CALLING_OFF: Play = Play { lines: 2, splits: true, calls_off: true, ..PLAIN };

#[test]
fn race_call_off_races_dispatch_and_the_rest_that_left_first_goes_on() {
    let asked = partly_gone(CALLING_OFF).then(["the customer calls off the rest"]);
    assert!(!asked.can("the customer calls off the rest"), "once is enough");
    let left = asked.then(["the warehouse dispatches the rest"]);
    assert_eq!(left.ends(&["restocked", "refunded"]), only("completed"));
    let told = left.then(["order-svc hears shipment.dispatched.v1"]);
    assert_eq!(told.said(Topic::Orders).last(), Some(&"call_off_refused"));
}

#[test]
fn race_call_off_races_dispatch_and_the_rest_that_was_called_off_first_never_leaves() {
    let asked = partly_gone(CALLING_OFF).then(["the customer calls off the rest"]);
    let called_off = asked.then(["stock-svc hears order.call_off_requested.v1"]);
    assert_eq!(called_off.said(Topic::Stock).last(), Some(&"restocked"));
    assert!(!called_off.can("the warehouse dispatches the rest"));
    assert_eq!(called_off.ends(&["call_off_refused", "cancel_refused"]), only("completed"));
}

#[test]
fn race_call_off_races_dispatch_of_a_rest_that_can_never_leave_and_staff_end_the_order() {
    let stays = partly_gone(Play { rest_stays: true, ..CALLING_OFF });
    let arrived = stays.then(["the carrier delivers the part", "order-svc hears shipment.delivered.v1"]);
    assert!(!arrived.can("the warehouse dispatches the rest"));
    let called_off = arrived.then(["the warehouse calls off the rest"]);
    assert_eq!(called_off.ends(&["call_off_refused", "cancel_requested"]), only("completed"));
}

const MOVING: Play = Play { moves: true, ..PLAIN };
const MOVES: [&str; 1] = ["the customer wants it elsewhere"];

#[test]
fn race_address_races_dispatch_and_a_parcel_that_left_first_goes_where_it_was_sent() {
    let firm = Story::of(MOVING).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let packed = firm.then(["stock-svc hears payment.captured.v1", "order-svc hears shipment.created.v1"]);
    let left = packed.then(["the warehouse dispatches the parcel"]).then(MOVES);
    assert!(!left.can(MOVES[0]), "one change at a time");
    assert_eq!(left.ends(&["address_changed", "readdressed"]), only("completed"));
    let answered = left.then(["stock-svc hears order.address_change_requested.v1"]);
    let told = answered.then(["order-svc hears stock.address_decided.v1"]);
    assert_eq!(told.said(Topic::Orders).last(), Some(&"address_change_refused"));
}

#[test]
fn race_address_races_dispatch_and_a_parcel_that_is_still_there_takes_the_address() {
    let firm = Story::of(MOVING).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let asked = firm.then(["stock-svc hears payment.captured.v1"]).then(MOVES);
    let taken = asked.then(["stock-svc hears order.address_change_requested.v1"]);
    assert_eq!(taken.said(Topic::Shipments).last(), Some(&"readdressed"));
    let left = taken.then(["the warehouse dispatches the parcel", "order-svc hears stock.address_decided.v1"]);
    assert_eq!(left.said(Topic::Orders).last(), Some(&"address_changed"));
    assert_eq!(left.ends(&["address_change_refused"]), only("completed"));
}

#[test]
fn race_address_races_dispatch_of_a_part_and_each_parcel_is_accounted_for() {
    let asked = partly_gone(Play { moves: true, ..CALLING_OFF }).then(MOVES);
    let answered = asked.then(["stock-svc hears order.address_change_requested.v1"]);
    let told = answered.then(["order-svc hears stock.address_decided.v1"]);
    assert_eq!(
        told.said(Topic::Orders)[2..],
        ["address_change_requested", "address_changed", "address_change_refused"]
    );
    assert_eq!(told.ends(&[]), only("completed"));
}

#[test]
fn race_address_races_dispatch_of_an_order_that_is_not_confirmed_and_nothing_can_have_left() {
    let moved = Story::of(MOVING).then(HELD).then(ASKED).then(MOVES);
    assert_eq!(moved.said(Topic::Orders), ["placed", "address_changed"]);
    moved.ends(&["address_change_requested", "address_change_refused"]);
}

#[test]
fn race_forgotten_meanwhile_an_answer_about_the_address_comes_late_and_names_nobody_again() {
    let play = Play { forgets: true, ..MOVING };
    let firm = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let packed = firm.then(["stock-svc hears payment.captured.v1", "order-svc hears shipment.created.v1"]);
    let decided = packed.then(MOVES).then(["stock-svc hears order.address_change_requested.v1"]);
    assert!(!decided.can(FORGETS[0]), "the order goes on");
    let gone = decided.then(["the warehouse dispatches the parcel", "order-svc hears shipment.dispatched.v1"]);
    let arrived = gone.then(["the carrier delivers the parcel", "order-svc hears shipment.delivered.v1"]);
    let forgotten = arrived.then(FORGETS);
    assert_eq!(forgotten.ends(&["address_changed", "address_change_refused"]), only("completed"));
    let told = forgotten.then(["order-svc hears stock.address_decided.v1", "stock-svc hears order.completed.v1"]);
    let told = told.then(["stock-svc hears order.forgotten.v1"]);
    assert_eq!(told.said(Topic::Orders).last(), Some(&"forgotten"));
}

const FORGETS: [&str; 1] = ["an operator forgets the customer"];

#[test]
fn race_facts_out_of_order_a_refund_heard_before_its_loss_completes_the_order() {
    let refunded = on_its_way().then(["the carrier loses the parcel", "payment-svc hears shipment.lost.v1"]);
    let heard = refunded.then(["the gateway refunds", "order-svc hears payment.refunded.v1"]);
    assert_eq!(heard.ends(&["cancelled"]), only("completed"));
}

#[test]
fn race_payment_after_end_an_order_that_timed_out_is_never_revived() {
    let timed_out = asked().then(["time passes the order's deadline"]).then(RELEASED);
    let undone = timed_out.then(["order-svc hears stock.released.v1", "payment-svc hears stock.released.v1"]);
    assert_eq!(undone.ends(&["authorized", "confirmed"]), only("cancelled timeout"));
    let late = undone.then(["the gateway authorises", "the gateway voids", "order-svc hears payment.voided.v1"]);
    assert_eq!(late.said(Topic::Orders), ["placed", "cancel_requested", "cancelled"]);
}

#[test]
fn race_payment_after_end_of_the_undo_a_late_3d_secure_is_let_go_of() {
    let play = Play { three_ds: true, ..PLAIN };
    let asked = Story::of(play).then(HELD).then(ASKED).then(["the gateway asks for 3-D Secure"]);
    let undone = asked.then(CANCELS).then(RELEASED).then(["payment-svc hears stock.released.v1"]);
    let late = undone.then(["the customer completes 3-D Secure"]);
    assert_eq!(late.ends(&["authorized", "confirmed"]), only("cancelled customer"));
}

fn waited_for() -> Story {
    let play = Play { three_ds: true, lost_webhooks: true, deadline: true, ..PLAIN };
    Story::of(play).then(HELD).then(ASKED).then(["the gateway asks for 3-D Secure"])
}

#[test]
fn race_customer_acts_unheard_and_is_found_by_a_look_up() {
    let acted = waited_for().then(["the customer completes 3-D Secure unheard"]);
    let found = acted.then(["the gateway is looked up and the customer had acted"]);
    assert_eq!(found.said(Topic::Payments), ["action_required", "authorized"]);
    found.ends(&["declined"]);
}

#[test]
fn race_customer_acts_unheard_after_they_failed_or_were_late_and_before_their_intent_is_ended() {
    let late = ["time passes the payment's deadline", "the gateway is looked up and waits for the customer still"];
    let failed = ["the customer fails 3-D Secure"];
    for closing in [waited_for().then(late), waited_for().then(failed)] {
        let acted = closing.then(["the customer completes 3-D Secure unheard"]);
        let found = acted.clone().then(["the gateway is asked once more and the customer had acted"]);
        assert_eq!(found.said(Topic::Payments), ["action_required", "authorized"]);
        found.ends(&["declined"]);
        let undone = acted.then(CANCELS).then(RELEASED).then(["payment-svc hears stock.released.v1"]);
        assert_eq!(undone.ends(&["authorized", "declined", "confirmed"]), only("cancelled customer"));
    }
}

#[test]
fn race_customer_acts_unheard_and_one_who_never_does_is_declined_at_the_deadline() {
    let late = ["time passes the payment's deadline", "the gateway is looked up and waits for the customer still"];
    let declined = waited_for().then(late).then(["the gateway voids"]);
    assert_eq!(declined.said(Topic::Payments), ["action_required", "declined"]);
    let ends = declined.ends(&["authorized", "confirmed"]);
    assert!(ends.contains("cancelled payment_declined"), "{ends:?}");
}

#[test]
fn race_stale_fact_of_the_same_topic_moves_no_order() {
    let story = Story::of(PLAIN).then(HELD).then(["time ends the hold", "order-svc hears stock.expired.v1"]);
    assert_eq!(story.ends(&["confirmed"]), only("cancelled timeout"));
    let released = story.then(["stock-svc hears order.cancel_requested.v1", "order-svc hears stock.released.v1"]);
    let stale = released.sent_again("order-svc", Topic::Stock, 0);
    assert_eq!(stale.said(Topic::Orders), released.said(Topic::Orders));
    assert_eq!(stale.ends(&["confirmed"]), only("cancelled timeout"), "goods that are back stay so");
}

#[test]
fn race_declined_retryable_is_tried_again_while_the_hold_lives() {
    let play = Play { retries: true, ..PLAIN };
    let waiting = Story::of(play).then(HELD).then(ASKED).then(["the gateway declines for now"]);
    let again = ["the gateway is asked again", "the gateway declines for now"];
    assert!(!waiting.clone().then(["time ends the hold", "payment-svc hears stock.expired.v1"]).can(again[0]));
    let last = waiting.then(again).then(["the gateway is asked again"]);
    let declined = last.then(["the gateway declines for now"]);
    assert!(!declined.can(again[0]));
    assert_eq!(
        declined.ends(&["authorized", "confirmed"]),
        any_of(["cancelled customer", "cancelled payment_declined", "cancelled timeout"])
    );
}

#[test]
fn race_stock_is_short_and_payment_is_never_tried() {
    let short = Story::of(SCARCE).then(["stock-svc is out of stock and hears order.placed.v1"]);
    let ends = any_of(["cancelled customer", "cancelled out_of_stock", "cancelled timeout"]);
    assert_eq!(short.ends(&["authorized", "declined", "unknown", "reserved"]), ends);
}

#[test]
fn race_adjusted_below_held_is_refused() {
    let level = Level { on_hand: 10, held: 4 };
    assert_eq!(level.adjusted(-7), Err(Unadjustable::BelowHeld { on_hand: 10, held: 4 }));
}

#[test]
fn race_facts_out_of_order_authorized_heard_before_reserved_confirms() {
    let story = Story::of(PLAIN).then(["stock-svc hears order.placed.v1"]).then(ASKED).then(CONFIRMED);
    assert_eq!(story.said(Topic::Orders), ["placed", "confirmed"]);
    story.then(["order-svc hears stock.reserved.v1"]).ends(&[]);
}

#[test]
fn race_facts_out_of_order_a_capture_heard_before_the_confirmation_ships_once_the_goods_are_firm() {
    let paid = confirmed().then(CAPTURED).then(["stock-svc hears payment.captured.v1"]);
    assert_eq!(paid.said(Topic::Shipments), [""; 0]);
    let firm = paid.then(["stock-svc hears order.confirmed.v1"]);
    assert_eq!(firm.said(Topic::Shipments), ["created"]);
}

#[test]
fn race_hold_expires_before_confirm_and_the_order_times_out() {
    let expired = asked().then(["time ends the hold", "order-svc hears stock.expired.v1"]);
    assert_eq!(expired.ends(&["confirmed", "captured"]), only("cancelled timeout"));
}

#[test]
fn race_hold_expires_after_confirm_and_goods_that_are_gone_end_it_as_out_of_stock() {
    let story = Story::of(SCARCE).then(HELD).then(ASKED).then(CONFIRMED).then(["time ends the hold"]);
    let held_again = story.clone().then(["stock-svc hears order.confirmed.v1"]);
    assert_eq!(held_again.said(Topic::Stock), ["reserved", "expired", "committed"]);
    let gone = story.then(["stock-svc is out of stock and hears order.confirmed.v1"]);
    let gone = gone.then(["order-svc hears stock.expired.v1", "order-svc hears stock.rejected.v1"]);
    assert_eq!(gone.ends(&["committed", "created"]), only("cancelled out_of_stock"));
}

#[test]
fn race_gateway_times_out_and_the_order_ends_as_if_it_had_answered() {
    let silent = explore(&Play { silent: true, ..PLAIN }, Until::Exhausted);
    let answering = explore(&PLAIN, Until::Exhausted);
    assert_eq!(silent.ends.keys().collect::<Vec<_>>(), answering.ends.keys().collect::<Vec<_>>());
    assert!(silent.broken.is_empty());
}

#[test]
fn race_refunds_of_staff_and_of_a_cancel_together_are_what_was_captured() {
    let play = Play { lines: 2, staff: true, ..PLAIN };
    let story = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let both = story.then(["staff refund a line"]).then(CANCELS).then(["stock-svc hears order.cancel_requested.v1"]);
    let heard = ["payment-svc hears order.cancel_requested.v1", "payment-svc hears stock.committed.v1"];
    let queued = both.then(heard).then(["payment-svc hears stock.restocked.v1", "the gateway refunds"]);
    assert_eq!(
        queued.clone().then(["the gateway refunds"]).said(Topic::Payments),
        ["authorized", "captured", "refunded", "refunded"]
    );
    assert_eq!(queued.ends(&["refund_failed"]), only("cancelled customer"));
}

#[test]
fn race_refunds_a_cancel_is_owed_what_the_refund_of_staff_did_not_give_back() {
    let play = Play { lines: 2, staff: true, refusals: true, ..PLAIN };
    let story = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let both = story.then(["staff refund a line"]).then(CANCELS).then(["stock-svc hears order.cancel_requested.v1"]);
    let heard = ["payment-svc hears order.cancel_requested.v1", "payment-svc hears stock.committed.v1"];
    let queued = both.then(heard).then(["payment-svc hears stock.restocked.v1"]);
    let refused = queued.then(["the gateway refuses the refund"]);
    assert!(!refused.can("staff give back what was refused"));
    assert_eq!(
        refused.clone().then(["the gateway refunds"]).said(Topic::Payments),
        ["authorized", "captured", "refund_failed", "refunded"]
    );
    assert_eq!(refused.ends(&[]), only("cancelled customer"));
}

#[test]
fn race_refunds_a_refund_of_a_loss_that_is_refused_is_for_staff_to_give_back() {
    let play = Play { losses: true, refusals: true, ..PLAIN };
    let firm = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let sent = firm.then(["stock-svc hears payment.captured.v1", "the warehouse dispatches the parcel"]);
    let lost = sent.then(["the carrier loses the parcel", "payment-svc hears shipment.lost.v1"]);
    let refused = lost.then(["the gateway refuses the refund"]);
    assert!(refused.can("staff give back what was refused"));
    assert_eq!(refused.ends(&["restocked", "cancelled"]), only("completed"));
}

#[test]
fn race_done_elsewhere_a_refund_that_nobody_heard_of_is_found_when_an_undo_is_refused() {
    let play = Play { lines: 2, elsewhere: true, ..PLAIN };
    let story = Story::of(play).then(HELD).then(ASKED).then(CONFIRMED).then(COMMITTED).then(CAPTURED);
    let refunded = story.then(["somebody at the gateway refunds a line"]).then(CANCELS);
    let undone = refunded.then(["stock-svc hears order.cancel_requested.v1"]);
    assert_eq!(undone.ends(&["refund_failed"]), only("cancelled customer"));
    let undone = undone.then(["payment-svc hears order.cancel_requested.v1", "payment-svc hears stock.committed.v1"]);
    let undone =
        undone.then(["payment-svc hears stock.restocked.v1", "the gateway refuses to refund more than it has"]);
    assert_eq!(
        undone.then(["the gateway refunds"]).said(Topic::Payments),
        ["authorized", "captured", "refunded", "refunded"]
    );
}

#[test]
fn race_done_elsewhere_an_order_whose_intent_was_captured_or_cancelled_by_hand_ends() {
    let play = Play { by_hand: true, ..PLAIN };
    let authorised = Story::of(play).then(HELD).then(ASKED).then(["the gateway authorises"]);
    let captured = authorised.clone().then(["somebody at the gateway captures"]).then(CANCELS);
    assert_eq!(captured.ends(&["voided"]), only("cancelled customer"));
    let cancelled = authorised.then(["somebody at the gateway cancels"]);
    assert_eq!(
        cancelled.ends(&["captured"]),
        any_of(["cancelled customer", "cancelled payment_expired", "cancelled timeout"])
    );
}

#[test]
fn race_order_hears_nothing_and_its_deadline_ends_it() {
    let unheard = Story::of(PLAIN).then(["time passes the order's deadline"]);
    assert_eq!(unheard.ends(&["confirmed", "captured"]), only("cancelled timeout"));
}

#[test]
fn race_cancelled_twice_says_nothing_new() {
    let cancelled = Story::of(PLAIN).then(CANCELS);
    assert!(!cancelled.can("the customer cancels"));
    assert!(!cancelled.can("time passes the order's deadline"));
}
