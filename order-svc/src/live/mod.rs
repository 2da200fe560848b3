//! Streams of what happens to orders, for as many listeners as like. However many there are, one task of the process looks
//! at the database for all of them ([`Tail`]) and hands out what is new.

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

/// More than any browser or proxy likes silence for.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Each costs some 20 kB, and all of them are to fit into a container of 256 MB; more than this are sent elsewhere.
pub const MOST: usize = 2_500;

/// Where streams are opened. Cheap to clone.
#[derive(Clone)]
pub struct Live {
    listeners: Arc<Listeners>,
    woken: Arc<Notify>,
    stop: CancellationToken,
    keep_alive: Duration,
}

/// There are as many listeners as this process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST} streams are open here, which is the most that there can be")]
pub struct Full;

impl Live {
    /// Streams that end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { listeners: Arc::default(), woken: Arc::default(), stop, keep_alive: KEEP_ALIVE }
    }

    /// The same with another time between two signs of life.
    #[must_use]
    pub fn keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// Begins to listen to an order: everything that is committed from now on is handed out. What was before is to be
    /// read after this, so that nothing falls between.
    ///
    /// # Errors
    /// [`Full`].
    pub fn listen(&self, order_id: OrderId) -> Result<Listener, Full> {
        let listener = Listeners::join(&self.listeners, order_id.0, MOST).ok_or(Full)?;
        self.woken.notify_one();
        Ok(listener)
    }

    /// How many listen.
    pub fn count(&self) -> usize {
        self.listeners.count()
    }

    /// Told when streams are to end.
    pub fn stopped(&self) -> &CancellationToken {
        &self.stop
    }

    /// How long a stream may be silent.
    pub const fn silence(&self) -> Duration {
        self.keep_alive
    }
}
