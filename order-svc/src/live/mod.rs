//! Streams of orders' events, for many listeners. One task of the process polls the database for all of them
//! ([`Tail`]) and hands out what is new.

mod listeners;
mod tail;

pub use listeners::{Batch, Listener};
pub use tail::Tail;

use std::sync::Arc;
use std::time::Duration;

use shared_events::OrderId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use listeners::Listeners;

/// How long a stream may be silent; browsers and proxies give up after longer silences.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The most streams that a process serves: each costs some 20 kB, and a container has 256 MB.
pub const MOST: usize = 2_500;

/// Opens streams. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    listeners: Arc<Listeners>,
    woken: Arc<Notify>,
    stop: CancellationToken,
    keep_alive: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} streams are open here, which is the most that there can be")]
pub struct Full;

impl Live {
    /// Streams that end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { listeners: Arc::default(), woken: Arc::default(), stop, keep_alive: KEEP_ALIVE }
    }

    #[must_use]
    pub fn keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// Subscribes to an order: everything committed from now on is handed out. The caller reads earlier entries after
    /// this call, so that none is lost between. Fails with [`Full`] if all streams are taken.
    pub fn listen(&self, order_id: OrderId) -> Result<Listener, Full> {
        let listener = Listeners::join(&self.listeners, order_id.0, MOST).ok_or(Full)?;
        self.woken.notify_one();
        Ok(listener)
    }

    pub fn count(&self) -> usize {
        self.listeners.count()
    }

    /// Cancelled when streams must end.
    pub fn stopped(&self) -> &CancellationToken {
        &self.stop
    }

    pub const fn silence(&self) -> Duration {
        self.keep_alive
    }
}
