use service_kit::housekeeping::TimeToLive;
use service_kit::{auth, idempotency};

/// Movements are kept for good, in one partition a year, which must exist before the year begins.
pub const UPKEEP: &[&str] = &["select movements_upkeep()"];

/// Movements never expire: their sum is the stock on hand.
pub fn times_to_live() -> Vec<TimeToLive> {
    vec![idempotency::time_to_live(), auth::time_to_live()]
}
