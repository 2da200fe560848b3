use super::*;

fn intent(method: Magic) -> Intent {
    Intent {
        id: "pi_1".to_owned(),
        amount: 2598,
        currency: "eur".to_owned(),
        payment_method: Some(method.name().to_owned()),
        metadata: json!({}),
        status: "requires_confirmation".to_owned(),
        received: 0,
        refunded: 0,
        last_payment_error: None,
        confirmed_by: None,
        attempts: 0,
        was_authorised: false,
        created_at: DateTime::UNIX_EPOCH,
    }
}

const AUTHORISED: Option<Effect> = Some(Effect { operation: "authorise", amount: 2598 });

fn confirm(intent: &mut Intent) -> Result<Option<Effect>, StripeError> {
    intent.confirm(&Asks { key: Some("k".to_owned()), ..Asks::default() })
}

#[test]
fn a_good_card_is_authorised_captured_and_refunded_once_over() {
    let mut intent = intent(Magic::Visa);
    assert_eq!(confirm(&mut intent).unwrap(), AUTHORISED);
    assert_eq!(intent.capture(None, false).unwrap(), Effect { operation: "capture", amount: 2598 });
    assert_eq!(intent.refund(Some(598)).unwrap(), Effect { operation: "refund", amount: 598 });
    assert_eq!(intent.refund(Some(2001)).unwrap_err().object()["code"], "amount_too_large");
    assert_eq!(intent.refund(None).unwrap(), Effect { operation: "refund", amount: 2000 });
    assert_eq!(intent.refund(None).unwrap_err().object()["code"], "charge_already_refunded");
}

#[test]
fn a_declined_card_leaves_its_reason_in_the_intent() {
    for (method, reason) in [(Magic::Declined, "generic_decline"), (Magic::InsufficientFunds, "insufficient_funds")] {
        let mut intent = intent(method);
        let error = confirm(&mut intent).unwrap_err();
        assert_eq!((error.status(), error.object()["decline_code"].as_str()), (402, Some(reason)));
        assert_eq!(intent.object()["last_payment_error"]["decline_code"], reason);
        assert_eq!(intent.status, "requires_payment_method");
    }
}

#[test]
fn what_can_not_be_captured_can_still_be_voided() {
    let mut intent = intent(Magic::CaptureFails);
    confirm(&mut intent).unwrap();
    assert_eq!(intent.capture(None, false).unwrap_err().object()["code"], "charge_expired_for_capture");
    assert_eq!(intent.cancel().unwrap(), Some(Effect { operation: "void", amount: 2598 }));
}

#[test]
fn cancelling_what_was_never_confirmed_moves_no_money() {
    let mut intent = intent(Magic::Visa);
    assert_eq!(intent.cancel().unwrap(), None);
    assert_eq!(confirm(&mut intent).unwrap_err().object()["code"], "payment_intent_unexpected_state");
}

#[test]
fn what_was_captured_is_not_cancelled() {
    let mut intent = intent(Magic::Visa);
    confirm(&mut intent).unwrap();
    intent.capture(None, false).unwrap();
    assert_eq!(intent.cancel().unwrap_err().object()["code"], "payment_intent_unexpected_state");
}

#[test]
fn a_card_that_asks_for_its_customer_is_authorised_when_they_have_acted() {
    let mut intent = intent(Magic::AuthenticationRequired);
    assert_eq!(confirm(&mut intent).unwrap(), None);
    assert_eq!((intent.status.as_str(), intent.object()["next_action"].is_object()), ("requires_action", true));
    assert_eq!(intent.authenticate(true).unwrap(), AUTHORISED);
    assert_eq!(intent.authenticate(true).unwrap_err().object()["code"], "payment_intent_unexpected_state");
}

#[test]
fn a_customer_who_fails_leaves_the_reason_in_the_intent_and_may_be_asked_again() {
    let mut intent = intent(Magic::AuthenticationRequired);
    confirm(&mut intent).unwrap();
    assert_eq!(intent.authenticate(false).unwrap(), None);
    assert_eq!(intent.object()["last_payment_error"]["code"], "payment_intent_authentication_failure");
    assert_eq!(intent.status, "requires_payment_method");
}

#[test]
fn nobody_is_asked_when_that_was_not_wanted() {
    let mut intent = intent(Magic::AuthenticationRequired);
    let error = intent.confirm(&Asks { or_error: true, ..Asks::default() }).unwrap_err();
    assert_eq!(error.object()["decline_code"], "authentication_required");
}

#[test]
fn a_bank_that_was_away_agrees_the_second_time() {
    let mut intent = intent(Magic::DeclinedOnce);
    assert_eq!(confirm(&mut intent).unwrap_err().object()["decline_code"], "issuer_not_available");
    intent.payment_method = Some(Magic::DeclinedOnce.name().to_owned());
    intent.status = "requires_confirmation".to_owned();
    assert_eq!(confirm(&mut intent).unwrap(), AUTHORISED);
}

#[test]
fn a_cancelled_intent_tells_by_its_charge_whether_anything_was_let_go() {
    let mut held = intent(Magic::Visa);
    confirm(&mut held).unwrap();
    held.cancel().unwrap();
    let mut declined = intent(Magic::Declined);
    confirm(&mut declined).unwrap_err();
    declined.cancel().unwrap();
    let mut never = intent(Magic::Visa);
    never.cancel().unwrap();
    assert_eq!(held.expanded()["latest_charge"]["status"], "succeeded");
    assert_eq!(declined.expanded()["latest_charge"]["status"], "failed");
    assert_eq!(never.expanded()["latest_charge"], Value::Null);
}

#[test]
fn a_slow_bank_is_asked_first_and_agrees_later() {
    let mut slow = intent(Magic::Slow);
    assert!(slow.asks_slowly(None));
    assert_eq!(slow.cancel().unwrap_err().object()["code"], "payment_intent_unexpected_state");
    assert_eq!(confirm(&mut slow).unwrap(), AUTHORISED);
    assert!(!slow.asks_slowly(None), "it has answered");
    assert!(!intent(Magic::Visa).asks_slowly(None));
    assert!(intent(Magic::Visa).asks_slowly(Some("pm_sandbox_slow")));
}
