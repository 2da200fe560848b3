//! What ends a rest of the poll thread.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// Wakes the poll thread when there is something to read, to store or to resume. Cheap to clone, and to use: librdkafka does
/// while it holds a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wake(Arc<OnceLock<Thread>>);

impl Wake {
    /// Ends the rest, or the next one if it does not rest now.
    pub fn wake(&self) {
        // none: it has not begun to read, so it has not rested either
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }

    /// This is the thread that rests.
    pub fn this_thread_rests(&self) {
        _ = self.0.set(thread::current());
    }

    /// Until it is woken, and no longer than that. May end early: whoever rests looks again.
    pub fn rest(&self, longest: Duration) {
        thread::park_timeout(longest);
    }
}
