//! What is measured of payments. It is counted when it is written: a transaction that fails at its commit and is repeated
//! counts twice.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_histogram, histogram};
use shared_events::{GatewayOperation, Money};

use crate::store::calls::name_of;

/// Counts money that has moved, by the ledger's operation.
pub fn moved(operation: &'static str, amount: Money) {
    let minor_units = amount.amount().unsigned_abs();
    counter!("payment_moved_minor_units_total", "operation" => operation, "currency" => amount.currency().code())
        .increment(minor_units);
}

/// Counts a call to the gateway that was made, by what came of it: `answered`, or why it was not.
pub fn called(operation: GatewayOperation, outcome: &'static str, took: Duration) {
    let operation = name_of(operation);
    counter!("payment_gateway_calls_total", "operation" => operation, "outcome" => outcome).increment(1);
    histogram!("payment_gateway_call_seconds", "operation" => operation).record(took.as_secs_f64());
}

/// Says what each metric is.
pub fn describe() {
    describe_counter!(
        "payment_moved_minor_units_total",
        "Money by operation of the ledger and currency, in minor units."
    );
    describe_counter!("payment_gateway_calls_total", "Calls to the gateway by operation and outcome.");
    describe_histogram!("payment_gateway_call_seconds", "How long calls to the gateway took, by operation.");
    describe_counter!("payment_webhooks_total", "Webhooks of the gateway, by type, version and outcome.");
    describe_counter!("payment_refunds_come_back_total", "Refunds that the customer's bank sent back.");
    describe_counter!("payment_refunds_made_elsewhere_total", "Refunds that somebody made at the gateway itself.");
    describe_counter!("payment_refunds_over_captured_total", "Refunds made elsewhere of more than was captured.");
    for name in [
        "payment_refunds_come_back_total",
        "payment_refunds_made_elsewhere_total",
        "payment_refunds_over_captured_total",
    ] {
        counter!(name).increment(0);
    }
}
