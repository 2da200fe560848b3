//! The payment of one order, for the document: amounts, refunds and ledger add up.

use serde_json::{Value, json};

const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";
const PAYMENT: &str = "01980a10-7c00-7000-8000-0000000000b1";
const REFUND: &str = "01980a10-7c00-7000-8000-0000000000c1";

fn eur(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

pub(super) fn payment() -> Value {
    json!({
        "id": PAYMENT, "order_id": ORDER, "status": "partially_refunded",
        "amount": eur(2598), "captured": eur(2598), "refunded": eur(1299), "attempts": 1, "failure_code": null, "next_action": null,
        "gateway": {"payment_intent": "pi_3Q0"},
        "created_at": "2026-07-14T09:30:00Z", "updated_at": "2026-07-20T10:00:02Z"
    })
}

/// While it waited for its customer.
pub(super) fn next_action() -> Value {
    json!({
        "type": "redirect_to_url", "client_secret": "pi_3Q0_secret_4kF",
        "redirect_to_url": {"url": "https://hooks.stripe.com/3d_secure_2/hosted?payment_intent=pi_3Q0"},
        "deadline": "2026-07-14T09:44:00Z"
    })
}

/// The same with that refund and its ledger.
pub(super) fn whole() -> Value {
    let line = |operation: &str, amount: i64, [debit, credit]: [&str; 2], key: String, at: &str| json!({"operation": operation, "amount": eur(amount), "debit": debit, "credit": credit, "key": key, "at": at});
    let (authorise, capture) = (format!("{PAYMENT}:authorise:1"), format!("{PAYMENT}:capture:1"));
    let mut whole = payment();
    whole["refunds"] = json!([refund(&json!({"status": "done", "gateway_id": "re_3Q0"}))]);
    whole["ledger"] = json!([
        line("authorise", 2598, ["gateway_clearing", "customer"], authorise, "2026-07-14T09:30:01Z"),
        line("capture", 2598, ["customer", "revenue"], capture, "2026-07-14T09:30:02Z"),
        line("refund", 1299, ["refunds", "gateway_clearing"], REFUND.to_owned(), "2026-07-20T10:00:02Z")
    ]);
    whole
}

/// A refund as it is answered when staff ask for it.
pub(super) fn asked() -> Value {
    refund(&json!({}))
}

/// One that the gateway refused, and that was given back by bank transfer.
pub(super) fn settled() -> Value {
    let outside = json!({
        "reason": "The card is closed: sent to the customer's account.", "reference": "SEPA 2026-07-21/0042",
        "at": "2026-07-21T12:00:00Z"
    });
    refund(&json!({"status": "done", "settled_outside": outside}))
}

/// The day on which that order was paid; its capture is the same on both sides, and the gateway has a refund that is not known.
pub(super) fn reconciliation() -> Value {
    let mut capture = movement("capture", json!("ch_3Q0"), eur(2598), "2026-07-14T09:30:02Z");
    capture["ledger"] = eur(2598);
    capture["booked_at"] = json!("2026-07-14T09:30:02.417Z");
    capture["state"] = json!("same");
    let mut refund = movement("refund", json!("re_3Q0"), eur(1299), "2026-07-14T17:00:00Z");
    refund["refund_id"] = json!("6f1de9b1-54ce-8d43-9a4b-1f0e5ad1c7a2");
    json!({
        "day": "2026-07-14", "from": "2026-07-14T00:00:00Z", "until": "2026-07-15T00:00:00Z", "trouble": null,
        "items": [refund, capture], "next_cursor": null
    })
}

fn movement(operation: &str, gateway_id: Value, gateway: Value, at: &str) -> Value {
    json!({
        "order_id": ORDER, "payment_id": PAYMENT, "payment_intent": "pi_3Q0", "operation": operation, "refund_id": null,
        "gateway_id": gateway_id, "currency": "EUR", "ledger": null, "booked_at": null, "given_back": eur(0),
        "gateway": gateway, "made_at": at, "state": "different"
    })
}

fn refund(changes: &Value) -> Value {
    let mut refund = json!({
        "id": REFUND, "payment_id": PAYMENT, "amount": eur(1299), "status": "calling",
        "lines": [{"sku": "TEA-EARL-GREY-250", "quantity": 1}], "reason": "A dented tin.",
        "gateway_id": null, "created_at": "2026-07-20T10:00:00Z", "settled_outside": null
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        refund[name] = value.clone();
    }
    refund
}
