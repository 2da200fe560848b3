//! Stripe's balance transactions: when money came and went, by the gateway's own clock.
//! <https://docs.stripe.com/api/balance_transactions>

use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::HashMap;

use super::wire::{Listed, minor_units};
use crate::gateway::{BalanceMovement, Moved};

#[derive(Debug, Deserialize)]
pub(super) struct BalanceTransactionObject {
    id: String,
    created: i64,
    reporting_category: String,
    source: Option<Source>,
}

/// Whole where it was asked for so. Amounts are read from it: those of the transaction are in the account's own currency.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Source {
    Whole(SourceObject),
    Id(#[expect(dead_code, reason = "read so that it is not refused")] String),
}

/// A charge, a refund or a dispute, or something else without an intent.
#[derive(Debug, Deserialize)]
struct SourceObject {
    id: String,
    #[serde(default)]
    amount: i64,
    amount_captured: Option<i64>,
    #[serde(default)]
    currency: String,
    payment_intent: Option<String>,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

impl Listed for BalanceTransactionObject {
    fn id(&self) -> &str {
        &self.id
    }
}

impl BalanceTransactionObject {
    pub fn at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.created, 0)
    }

    /// What it did to an intent's money. Fees and payouts did nothing.
    pub fn movement(self) -> Option<BalanceMovement> {
        let moved = match self.reporting_category.as_str() {
            "charge" => Moved::Captured,
            "refund" | "dispute" => Moved::GivenBack,
            "refund_failure" | "dispute_reversal" => Moved::CameBack,
            _ => return None,
        };
        let (at, Some(Source::Whole(source))) = (self.at()?, self.source) else { return None };
        let amount = source.amount_captured.filter(|_| moved == Moved::Captured).unwrap_or(source.amount);
        Some(BalanceMovement {
            moved,
            at,
            intent: source.payment_intent?,
            id: source.id,
            ours: source.metadata.get("refund_id").and_then(|id| id.parse().ok()),
            amount: minor_units(amount, &source.currency),
            currency: source.currency.to_uppercase(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(category: &str, source: serde_json::Value) -> Option<BalanceMovement> {
        let object = json!({"id": "txn_1", "amount": 9, "created": 1_700_000_000, "currency": "usd",
            "reporting_category": category, "source": source});
        serde_json::from_value::<BalanceTransactionObject>(object).unwrap().movement()
    }

    #[test]
    fn amounts_are_those_of_what_moved_the_money_and_not_of_the_accounts_currency() {
        let charge =
            json!({"id": "ch_1", "amount": 1000, "amount_captured": 400, "currency": "eur", "payment_intent": "pi_1"});
        let captured = read("charge", charge).unwrap();
        assert_eq!((captured.moved, captured.amount, captured.currency.as_str()), (Moved::Captured, 400, "EUR"));
        let dispute = json!({"id": "dp_1", "amount": 50, "currency": "eur", "payment_intent": "pi_1"});
        let disputed = read("dispute", dispute).unwrap();
        assert_eq!((disputed.moved, disputed.amount, disputed.id.as_str()), (Moved::GivenBack, 50, "dp_1"));
    }

    #[test]
    fn what_is_of_no_intent_is_none_of_a_payment() {
        assert_eq!(read("payout", json!({"id": "po_1", "amount": 5, "currency": "eur"})), None);
        assert_eq!(read("charge", json!({"id": "ch_1", "amount": 5, "currency": "eur", "payment_intent": null})), None);
        assert_eq!(read("charge", json!("ch_1")), None);
        assert_eq!(read("fee", json!(null)), None);
    }
}
