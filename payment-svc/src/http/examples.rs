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
        "amount": eur(2598), "captured": eur(2598), "refunded": eur(500), "attempts": 1, "failure_code": null,
        "gateway": {"payment_intent": "pi_3Q0"},
        "created_at": "2026-07-14T09:30:00Z", "updated_at": "2026-07-20T10:00:02Z"
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
        line("refund", 500, ["refunds", "gateway_clearing"], REFUND.to_owned(), "2026-07-20T10:00:02Z")
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

fn refund(changes: &Value) -> Value {
    let mut refund = json!({
        "id": REFUND, "payment_id": PAYMENT, "amount": eur(500), "status": "calling", "reason": "A dented tin.",
        "gateway_id": null, "created_at": "2026-07-20T10:00:00Z", "settled_outside": null
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        refund[name] = value.clone();
    }
    refund
}
