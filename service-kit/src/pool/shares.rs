//! Shares the pool's connections out among kinds of work, so that none starves another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A kind of work that needs connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// HTTP requests.
    Requests,
    /// The lanes in which events are handled.
    Lanes,
    /// Timers that fall due.
    Timers,
    /// Workers that call external services.
    Workers,
    /// What monitors and cleans up: progress, readiness, housekeeping.
    Upkeep,
}

impl Share {
    /// As metrics call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Lanes => "lanes",
            Self::Timers => "timers",
            Self::Workers => "workers",
            Self::Upkeep => "upkeep",
        }
    }
}

/// Each kind of work has some connections of its own; the rest are common.
pub(super) struct Shares {
    own: [(Share, Arc<Semaphore>); 5],
    common: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Counts whoever waits, however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shares {
    pub fn of(size: usize) -> Self {
        let parts = reserved(size);
        let kept: usize = parts.iter().map(|(_, part)| part).sum();
        let semaphore = |size| Arc::new(Semaphore::new(size));
        let own = parts.map(|(share, part)| (share, semaphore(part)));
        Self { own, common: semaphore(size.saturating_sub(kept)), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a free connection, of its own if possible.
    pub async fn enter(&self, share: Share) -> Option<OwnedSemaphorePermit> {
        let own = self.own.iter().find(|(kind, _)| *kind == share).map(|(_, own)| own)?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        tokio::select! {
            biased;
            permit = Arc::clone(own).acquire_owned() => permit.ok(),
            permit = Arc::clone(&self.common).acquire_owned() => permit.ok(),
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// The most connections that this kind can have at once.
    pub fn most(size: usize, share: Share) -> usize {
        let others: usize = reserved(size).iter().filter(|(kind, _)| *kind != share).map(|(_, part)| part).sum();
        size.saturating_sub(others)
    }
}

/// The smallest pool that is shared out.
pub const SHARED_OUT: usize = 8;

/// A quarter each for requests and lanes, an eighth for workers, a sixteenth each for timers and upkeep. Upkeep gets
/// at least two, so that readiness doesn't wait for housekeeping. A pool of fewer than eight, as in tests and the
/// sandbox, reserves nothing.
fn reserved(size: usize) -> [(Share, usize); 5] {
    let part = |of: usize, least: usize| if size < SHARED_OUT { 0 } else { (size / of).max(least) };
    [
        (Share::Requests, part(4, 1)),
        (Share::Lanes, part(4, 1)),
        (Share::Workers, part(8, 1)),
        (Share::Timers, part(16, 1)),
        (Share::Upkeep, part(16, 2)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_can_take_what_is_kept_for_another() {
        for size in 2..=200 {
            let kept: usize = reserved(size).iter().map(|(_, part)| part).sum();
            assert!(kept <= size, "{size}");
            for (share, part) in reserved(size) {
                assert!(Shares::most(size, share) >= part.max(1), "{size} {share:?}");
            }
        }
        assert_eq!(Shares::most(16, Share::Requests), 7);
        let upkeep = |size| reserved(size).into_iter().find(|(share, _)| *share == Share::Upkeep).map(|(_, part)| part);
        assert!((8..=200).all(|size| upkeep(size) >= Some(2)), "who tidies up leaves readiness its own");
    }
}
