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
        created_at: DateTime::UNIX_EPOCH,
    }
}

#[test]
fn a_good_card_is_authorised_captured_and_refunded_once_over() {
    let mut intent = intent(Magic::Visa);
    assert_eq!(intent.confirm().unwrap(), Effect { operation: "authorise", amount: 2598 });
    assert_eq!(intent.capture(None).unwrap(), Effect { operation: "capture", amount: 2598 });
    assert_eq!(intent.refund(Some(598)).unwrap(), Effect { operation: "refund", amount: 598 });
    assert_eq!(intent.refund(Some(2001)).unwrap_err().object()["code"], "amount_too_large");
    assert_eq!(intent.refund(None).unwrap(), Effect { operation: "refund", amount: 2000 });
    assert_eq!(intent.refund(None).unwrap_err().object()["code"], "charge_already_refunded");
}

#[test]
fn a_declined_card_leaves_its_reason_in_the_intent() {
    for (method, reason) in [(Magic::Declined, "generic_decline"), (Magic::InsufficientFunds, "insufficient_funds")] {
        let mut intent = intent(method);
        let error = intent.confirm().unwrap_err();
        assert_eq!((error.status(), error.object()["decline_code"].as_str()), (402, Some(reason)));
        assert_eq!(intent.object()["last_payment_error"]["decline_code"], reason);
        assert_eq!(intent.status, "requires_payment_method");
    }
}

#[test]
fn what_can_not_be_captured_can_still_be_voided() {
    let mut intent = intent(Magic::CaptureFails);
    intent.confirm().unwrap();
    assert_eq!(intent.capture(None).unwrap_err().object()["code"], "charge_expired_for_capture");
    assert_eq!(intent.cancel().unwrap(), Some(Effect { operation: "void", amount: 2598 }));
}

#[test]
fn cancelling_what_was_never_confirmed_moves_no_money() {
    let mut intent = intent(Magic::Visa);
    assert_eq!(intent.cancel().unwrap(), None);
    assert_eq!(intent.confirm().unwrap_err().object()["code"], "payment_intent_unexpected_state");
}

#[test]
fn what_was_captured_is_not_cancelled() {
    let mut intent = intent(Magic::Visa);
    intent.confirm().unwrap();
    intent.capture(None).unwrap();
    assert_eq!(intent.cancel().unwrap_err().object()["code"], "payment_intent_unexpected_state");
}
