//! Declines that may pass, customers who have to act, and refunds by staff.

use super::*;

fn not_now() -> Happens {
    answered(Call::Authorise, GatewayReply::NotNow { code: "processing_error".to_owned() })
}

fn asks() -> Happens {
    answered(Call::Authorise, GatewayReply::ActionRequired { url: None })
}

fn retry() -> Happens {
    Box::new(Payment::retry)
}

fn customer_acts() -> Happens {
    Box::new(Payment::action_done)
}

fn customer_fails() -> Happens {
    Box::new(|payment| payment.action_failed("authentication_required".to_owned()))
}

fn waiting() -> Payment {
    given(vec![placed(), reserved(), not_now()])
}

fn action_required() -> Payment {
    given(vec![placed(), reserved(), asks()])
}

const FOR_NOW: [&str; 1] = ["declined processing_error retryable true"];
const FOR_GOOD: [&str; 1] = ["declined processing_error retryable false"];

#[test]
fn a_decline_that_may_pass_is_tried_again_after_30_s_and_2_min_and_then_is_final() {
    let first = authorizing().when(not_now());
    assert_eq!(first.step.as_ref().unwrap().retry_in, Some(Duration::from_secs(30)));
    let again = first.then(State::WaitingToRetry, &FOR_NOW, None).when(retry());
    let second = again.then(State::Authorizing, &[], Some(Call::Authorise)).when(not_now());
    assert_eq!(second.step.as_ref().unwrap().retry_in, Some(Duration::from_secs(120)));
    let again = second.then(State::WaitingToRetry, &FOR_NOW, None).when(retry());
    let third = again.then(State::Authorizing, &[], Some(Call::Authorise)).when(not_now());
    assert_eq!(third.step.as_ref().unwrap().retry_in, None);
    third.then(State::Declined, &FOR_GOOD, None).when(retry()).then_refused();
}

#[test]
fn a_new_attempt_has_a_key_of_its_own_and_a_silent_one_keeps_its_key() {
    let second = waiting().when(retry()).then(State::Authorizing, &[], Some(Call::Authorise));
    assert_eq!(second.key(Call::Authorise), "00000000-0000-0000-0000-000000000007:authorise:2");
    let silent = second.when(answered(Call::Authorise, GatewayReply::Nothing)).payment;
    assert_eq!(silent.key(Call::Authorise), "00000000-0000-0000-0000-000000000007:authorise:2");
}

#[test]
fn an_authorisation_at_the_second_attempt_is_announced() {
    let second = waiting().when(retry()).then(State::Authorizing, &[], Some(Call::Authorise));
    second.when(done(Call::Authorise)).then(State::Authorized, &["authorized 25.98 EUR"], None);
}

#[test]
fn nothing_is_tried_again_once_the_hold_has_ended() {
    waiting().when(expired()).then(State::WaitingToRetry, &[], None).when(retry()).then_refused();
    let late = authorizing().when(expired()).then(State::Authorizing, &[], None);
    late.when(not_now()).then(State::Declined, &FOR_GOOD, None);
}

#[test]
fn with_the_goods_given_back_every_decline_is_final() {
    let undone = authorizing().when(released()).then(State::Authorizing, &[], None);
    undone.when(not_now()).then(State::Declined, &FOR_GOOD, None);
}

#[test]
fn released_while_waiting_ends_the_intent_and_then_answers_voided() {
    for payment in [waiting(), action_required()] {
        let closing = payment.when(released()).then(State::Closing, &[], Some(Call::Void));
        let closing = closing.when(retry()).then_refused().when(customer_acts()).then_refused();
        closing.when(done(Call::Void)).then(State::Voided, &["voided 0.00 EUR"], None);
    }
}

#[test]
fn an_action_is_announced_and_what_the_customer_then_authorises_too() {
    let asked = authorizing().when(asks()).then(State::ActionRequired, &["action_required"], None);
    let authorized = asked.when(customer_acts()).then(State::Authorized, &["authorized 25.98 EUR"], None);
    authorized.when(customer_acts()).then_refused().when(customer_fails()).then_refused();
}

#[test]
fn an_action_that_nobody_awaits_is_never_asked_for() {
    let undone = authorizing().when(released()).then(State::Authorizing, &[], None);
    let closing = undone.when(asks()).then(State::Closing, &[], Some(Call::Void));
    closing.when(done(Call::Void)).then(State::Voided, &["voided 0.00 EUR"], None);
}

#[test]
fn a_failed_action_is_declined_only_after_its_intent_is_ended() {
    let closing = action_required().when(customer_fails()).then(State::Closing, &[], Some(Call::Void));
    let closing = closing.when(customer_acts()).then_refused();
    let said = ["declined authentication_required retryable false"];
    closing.clone().when(done(Call::Void)).then(State::Declined, &said, None);
    // Undone meanwhile, it is voided: should somebody have captured it by hand, that goes back.
    let undone = closing.when(released()).then(State::Closing, &[], None).when(released()).then_refused();
    undone.when(done(Call::Void)).then(State::Voided, &["voided 0.00 EUR"], None);
}

#[test]
fn a_customer_is_given_up_at_the_deadline_and_not_before() {
    let deadline = held_until();
    let passes = |now: DateTime<Utc>| -> Happens { Box::new(move |payment| payment.action_timed_out(now)) };
    let waiting = action_required().when(passes(deadline - TimeDelta::seconds(1))).then_refused();
    let closing = waiting.when(passes(deadline)).then(State::Closing, &[], Some(Call::Void));
    let said = ["declined authentication_timeout retryable false"];
    closing.when(done(Call::Void)).then(State::Declined, &said, None).when(passes(deadline)).then_refused();
    authorizing().when(passes(deadline)).then_refused();
}

#[test]
fn a_customer_who_acted_before_their_intent_was_ended_has_bought_unless_the_goods_were_given_back() {
    let found = || answered(Call::Void, GatewayReply::AuthorisedAfterAll);
    let closing = || action_required().when(customer_fails()).then(State::Closing, &[], Some(Call::Void));
    let came = closing().when(found());
    assert_eq!(came.step.as_ref().unwrap().moved, [(Call::Authorise, eur(2598))]);
    let authorized = came.then(State::Authorized, &["authorized 25.98 EUR"], None);
    assert_eq!(authorized.failure_code, None);
    authorized.when(released()).then(State::Voiding, &[], Some(Call::Void));

    let undone = closing().when(released()).then(State::Closing, &[], None);
    let undone = undone.when(released()).then_refused().when(found()).then(State::Closing, &[], None);
    undone.clone().when(done(Call::Void)).then(State::Voided, &["voided 0.00 EUR"], None);
    let let_go = undone.when(answered(Call::Void, GatewayReply::LetGo));
    assert_eq!((let_go.payment.state, let_go.step.unwrap().moved.len()), (State::Voided, 2));
}

#[test]
fn an_action_that_failed_unheard_is_declined_only_after_its_intent_is_ended() {
    let found = || answered(Call::Authorise, GatewayReply::ActionFailed { code: "authentication_required".to_owned() });
    for failed in [authorizing().when(found()), authorizing().when(customer_fails())] {
        let closing = failed.then(State::Closing, &[], Some(Call::Void));
        let closing = closing.when(customer_acts()).then_refused().when(asks()).then_refused();
        let said = ["declined authentication_required retryable false"];
        closing.clone().when(done(Call::Void)).then(State::Declined, &said, None);
        let Came { payment, step } = closing.when(answered(Call::Void, GatewayReply::LetGo));
        assert_eq!((payment.state, step.unwrap().moved.len()), (State::Declined, 2), "they had tried once more");
    }
    assert_eq!(authorizing().when(customer_fails()).step.unwrap().finishes, Some(Call::Authorise));
    let undone = authorizing().when(released()).payment.when(found());
    let closing = undone.then(State::Closing, &[], Some(Call::Void));
    closing.when(done(Call::Void)).then(State::Voided, &["voided 0.00 EUR"], None);
}

#[test]
fn an_action_may_end_after_the_hold_did() {
    let late = action_required().when(expired()).then(State::ActionRequired, &[], None);
    late.when(customer_acts()).then(State::Authorized, &["authorized 25.98 EUR"], None);
}

#[test]
fn what_was_authorised_unheard_and_let_go_is_in_the_ledger_and_never_announced() {
    let both = vec![(Call::Authorise, eur(2598)), (Call::Void, eur(2598))];
    let let_go = |call| answered(call, GatewayReply::LetGo);
    for (payment, call, state) in [
        (authorizing(), Call::Authorise, State::New),
        (authorizing().when(released()).payment, Call::Authorise, State::Voided),
        (waiting().when(released()).payment, Call::Void, State::Voided),
    ] {
        let Came { payment, step } = payment.when(let_go(call));
        let step = step.unwrap();
        assert_eq!((payment.state, &step.moved), (state, &both));
        assert!(!step.events.iter().any(|event| matches!(event, PaymentEvent::Authorized(_))));
    }
}

#[test]
fn only_what_moved_money_goes_into_the_ledger() {
    let moved = |payment: Payment, happens: Happens| payment.when(happens).step.unwrap().moved;
    let all = |call| vec![(call, eur(2598))];
    assert_eq!(moved(authorizing(), done(Call::Authorise)), all(Call::Authorise));
    assert_eq!(moved(action_required(), customer_acts()), all(Call::Authorise));
    assert_eq!(moved(capturing(), done(Call::Capture)), all(Call::Capture));
    assert_eq!(moved(authorized().when(released()).payment, done(Call::Void)), all(Call::Void));
    assert_eq!(moved(waiting().when(released()).payment, done(Call::Void)), []);
    assert_eq!(moved(authorizing(), asks()), []);
    let refund = Call::Refund(cause(1));
    let refunding = || captured().when(returned(1, "POT", 1)).payment;
    assert_eq!(moved(refunding(), done(refund)), [(refund, eur(598))]);
    assert_eq!(moved(refunding(), refused(refund, "expired_card")), []);
}

#[test]
fn what_the_customer_did_is_the_answer_when_it_is_heard_before_that() {
    let came = authorizing().when(customer_acts());
    assert_eq!(came.step.as_ref().unwrap().finishes, Some(Call::Authorise));
    came.then(State::Authorized, &["authorized 25.98 EUR"], None).when(asks()).then_refused();
    let undone = authorizing().when(released()).then(State::Authorizing, &[], None);
    undone.when(customer_acts()).then(State::Voiding, &[], Some(Call::Void));
}

#[test]
fn staff_give_back_what_remains_and_no_more() {
    let refund = |number, amount| -> Happens { Box::new(move |payment| payment.refund(cause(number), eur(amount))) };
    let refunding = captured().when(refund(1, 2000)).then(State::Captured, &[], Some(Call::Refund(cause(1))));
    let again = refunding.when(refund(1, 2000)).then(State::Captured, &[], None);
    let too_much = again.when(refund(2, 599));
    assert_eq!(too_much.step, Err(Refused::MoreThanRemains { wanted: eur(599), remaining: eur(598) }));
    too_much.payment.when(refund(2, 598)).then(State::Captured, &[], None);
    authorized().when(refund(1, 1)).then_refused();
}
