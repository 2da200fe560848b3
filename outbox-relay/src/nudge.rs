//! The nudge: a process tells its relay that it has committed rows.

use std::sync::Arc;

use tokio::sync::Notify;

/// The channel on which PostgreSQL carries a nudge from one process to another.
pub(crate) const CHANNEL: &str = "outbox_relay";

/// Tells the relay that there is something to publish. Cheap to clone and to call; many calls become one.
///
/// Call it after the commit. Forgetting it, or dying before it, costs the time until the next poll and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Wakes the relay: this process's own if it leads, else, through PostgreSQL, the one that does.
    pub fn nudge(&self) {
        self.0.notify_one();
    }

    /// Waits for a nudge; one that came before counts.
    pub(crate) async fn nudged(&self) {
        self.0.notified().await;
    }
}
