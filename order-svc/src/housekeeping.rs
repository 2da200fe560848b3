use std::time::Duration;

use service_kit::housekeeping::TimeToLive;
use service_kit::{auth, idempotency};

/// Only of ended orders to which nothing has happened since. A history is deleted whole or not at all.
const HISTORY: &str = "delete from order_history where order_id in (
        select id from orders join old on old.key = orders.id
         where status in ('completed', 'cancelled') and updated_at < now() - make_interval(secs => $1))
    returning order_id as key";
const PRUNED: &str = "update orders set history_pruned_at = now() where id in (select key from deleted)";

/// Orders themselves are kept.
pub fn times_to_live(history: Duration) -> Vec<TimeToLive> {
    vec![
        idempotency::time_to_live(),
        auth::time_to_live(),
        TimeToLive::new("order_history", "order_id", "recorded_at", history)
            .only("position = 1")
            .deleting(HISTORY)
            .also(PRUNED),
    ]
}
