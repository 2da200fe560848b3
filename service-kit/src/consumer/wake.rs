//! Ends a rest of the poll thread.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// Wakes the poll thread when there is something to read, to store or to resume. It is cheap to clone, and cheap to
/// call: librdkafka calls it while it holds a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wake(Arc<OnceLock<Thread>>);

impl Wake {
    /// Ends the current rest, or the next one if the thread isn't resting.
    pub fn wake(&self) {
        // No thread is set before the poll thread begins to read, and until then it doesn't rest.
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }

    /// Makes the calling thread the one to wake.
    pub fn this_thread_rests(&self) {
        _ = self.0.set(thread::current());
    }

    /// Rests until woken, for at most `longest`. It may return early, so the caller must look again.
    pub fn rest(&self, longest: Duration) {
        thread::park_timeout(longest);
    }
}
