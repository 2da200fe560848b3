//! The nudge: a process tells its relay that it has committed rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// The channel on which PostgreSQL carries a nudge from one process to another.
pub(crate) const CHANNEL: &str = "outbox_relay";

/// Tells the relay that there is something to publish. Cheap to clone and to call; many calls become one.
///
/// Call it after the commit. Forgetting it, or dying before it, costs the time until the next poll and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Nudged>);

#[derive(Debug, Default)]
struct Nudged {
    notify: Notify,
    count: AtomicU64,
}

impl Nudge {
    /// Wakes the relay: this process's own if it leads, else, through PostgreSQL, the one that does.
    pub fn nudge(&self) {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        self.0.notify.notify_one();
    }

    /// How often it was called: as long as this stays the same, this process has announced no further commit.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::SeqCst)
    }

    /// Waits for a nudge; one that came before counts.
    pub(crate) async fn nudged(&self) {
        self.0.notify.notified().await;
    }
}
