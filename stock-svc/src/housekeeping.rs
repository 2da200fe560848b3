//! How long rows live that nobody asks for any more.

use std::time::Duration;

use service_kit::housekeeping::TimeToLive;

/// An answer is kept for a POST that is sent again.
const ANSWERS: Duration = Duration::from_secs(24 * 60 * 60);

/// Movements are kept for good, in a partition a year, which must be there before the year begins.
pub const UPKEEP: &[&str] = &["select movements_upkeep()"];

/// What grows old here. Movements never do: their sum is what is on hand.
pub fn times_to_live() -> Vec<TimeToLive> {
    vec![TimeToLive::new("idempotency_keys", "key", "created_at", ANSWERS)]
}
