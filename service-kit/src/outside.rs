//! Calls to the outside world (gateway, mail, webhook), made by a worker and never inside a transaction that decides.
//!
//! The reaction records the intent as a row; the worker takes it with a lease, calls with a key that stays the same
//! over every retry, and a second transaction records the outcome. A crash between the two repeats the call.

use std::future::Future;

/// The calls that a service has recorded and not yet made.
pub trait OutsideCalls: Send + Sync + 'static {
    /// A call, with the key that makes it safe to repeat.
    type Call: Send + 'static;

    /// Takes up to `limit` due calls under a lease, in a transaction of its own: while it lasts nobody else takes
    /// them, and after it has passed they are due again.
    fn take(&self, limit: usize) -> impl Future<Output = anyhow::Result<Vec<Self::Call>>> + Send;

    /// Makes the call and records its outcome in a transaction of its own. A failure that may pass is the call's own to
    /// put off (a later due time); an error here means that not even that could be written.
    fn perform(&self, call: Self::Call) -> impl Future<Output = anyhow::Result<()>> + Send;
}
