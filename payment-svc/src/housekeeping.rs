use std::time::Duration;

use service_kit::{auth, housekeeping::TimeToLive, idempotency};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The gateway sends a webhook again for three days.
const WEBHOOKS: Duration = Duration::from_secs(30 * DAY.as_secs());
/// What a finished call did is in the ledger; the call itself is for people who look into what happened.
const CALLS: Duration = Duration::from_secs(90 * DAY.as_secs());

/// The ledger is kept for good, in a partition a year, which must be there before the year begins.
pub const UPKEEP: &[&str] = &["select ledger_upkeep()"];

/// Payments, refunds and the ledger are kept.
pub fn times_to_live() -> Vec<TimeToLive> {
    vec![
        idempotency::time_to_live(),
        auth::time_to_live(),
        TimeToLive::new("webhook_events", "event_id", "received_at", WEBHOOKS),
        TimeToLive::new("gateway_calls", "key", "finished_at", CALLS).only("finished_at is not null"),
    ]
}
