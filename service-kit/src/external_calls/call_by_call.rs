//! The shape of services that record each outcome by itself. It goes with the last of them.

use std::future::Future;
use std::time::Duration;

use anyhow::anyhow;

use super::{BatchedCalls, Performed};
use crate::circuit_breaker::CircuitBreaker;

/// Like [`BatchedCalls`], with a transaction for each outcome.
pub trait ExternalCalls: Send + Sync + 'static {
    /// See [`BatchedCalls::Call`].
    type Call: Send + 'static;

    /// See [`BatchedCalls::take`].
    fn take(&self, limit: usize) -> impl Future<Output = anyhow::Result<Vec<Self::Call>>> + Send;

    /// See [`BatchedCalls::next_due`].
    fn next_due(&self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;

    /// Makes the call, bounded in time, and records its outcome in a transaction of its own. A failure that may pass is
    /// the call's own to put off (a later due time); an error here means that not even that could be written, and the
    /// lease's end makes the call due again.
    fn perform(&self, call: Self::Call) -> impl Future<Output = anyhow::Result<Performed>> + Send;

    /// See [`BatchedCalls::breaker`].
    fn breaker(&self) -> Option<&CircuitBreaker> {
        None
    }
}

/// All is done while making the call; what is left to settle is to say what came of it.
impl<T: ExternalCalls> BatchedCalls for T {
    type Call = T::Call;
    type Made = anyhow::Result<Performed>;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<T::Call>> {
        ExternalCalls::take(self, limit).await
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        ExternalCalls::next_due(self).await
    }

    async fn make(&self, call: T::Call) -> Self::Made {
        self.perform(call).await
    }

    async fn settle(&self, made: &[Self::Made]) -> anyhow::Result<Vec<Performed>> {
        made.iter().map(|made| made.as_ref().copied().map_err(|error| anyhow!("{error:#}"))).collect()
    }

    fn breaker(&self) -> Option<&CircuitBreaker> {
        ExternalCalls::breaker(self)
    }
}
