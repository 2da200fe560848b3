use std::time::Duration;

use service_kit::housekeeping::TimeToLive;

/// A stored response is for repeated requests only.
const ANSWERS: Duration = Duration::from_secs(24 * 60 * 60);

/// Movements are kept for good, in one partition a year, which must exist before the year begins.
pub const UPKEEP: &[&str] = &["select movements_upkeep()"];

/// Movements never expire: their sum is the stock on hand.
pub fn times_to_live() -> Vec<TimeToLive> {
    vec![TimeToLive::new("idempotency_keys", "key", "created_at", ANSWERS)]
}
