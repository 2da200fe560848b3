//! The shape of services that don't load, decide and save yet. It goes with the last of them.

use std::collections::VecDeque;
use std::future::Future;

use anyhow::anyhow;
use diesel_async::AsyncPgConnection;
use tracing::Instrument;

use super::batch::span_of;
use super::{Handled, Incoming, ReactionError, Reactions, Undecodable};
use crate::trace;

/// Like [`Reactions`], with statements for each event.
pub trait EventByEvent: Send + Sync + 'static {
    /// See [`Reactions::Event`].
    type Event: Send + Sync + 'static;

    /// See [`Reactions::decode`].
    ///
    /// # Errors
    /// See [`Undecodable`].
    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Self::Event, Undecodable>;

    /// See [`Reactions::concerns`].
    fn concerns(&self, event: &Self::Event) -> bool {
        let _ = event;
        true
    }

    /// Locks what the whole batch needs, in an order that all lanes share: all roots sorted, then all else sorted. Runs
    /// once before the events are reacted to one by one, in the same transaction.
    fn prepare(
        &self,
        conn: &mut AsyncPgConnection,
        batch: &[Incoming<Self::Event>],
    ) -> impl Future<Output = Result<(), ReactionError>> + Send;

    /// Reacts to one event, inside the transaction that marks it handled. May run again after a rollback: nothing that
    /// a rollback doesn't undo belongs here.
    fn react(
        &self,
        conn: &mut AsyncPgConnection,
        incoming: &Incoming<Self::Event>,
    ) -> impl Future<Output = Result<Handled, ReactionError>> + Send;

    /// See [`Reactions::committed`].
    fn committed(&self) {}
}

/// All is done while loading; what is left to decide is what became of each event.
impl<T: EventByEvent> Reactions for T {
    type Event = T::Event;
    type Loaded = VecDeque<Handled>;

    fn decode(&self, event_type: &str, value: &[u8]) -> Result<Self::Event, Undecodable> {
        EventByEvent::decode(self, event_type, value)
    }

    fn concerns(&self, event: &Self::Event) -> bool {
        EventByEvent::concerns(self, event)
    }

    async fn load(
        &self,
        conn: &mut AsyncPgConnection,
        batch: &[Incoming<Self::Event>],
    ) -> Result<VecDeque<Handled>, ReactionError> {
        self.prepare(conn, batch).await?;
        let mut handled = VecDeque::with_capacity(batch.len());
        for incoming in batch {
            let reaction = EventByEvent::react(self, conn, incoming).instrument(span_of(incoming));
            handled.push_back(trace::within(incoming.envelope.traceparent.as_deref(), reaction).await?);
        }
        Ok(handled)
    }

    fn react(
        &self,
        loaded: &mut VecDeque<Handled>,
        _incoming: &Incoming<Self::Event>,
    ) -> Result<Handled, ReactionError> {
        loaded.pop_front().ok_or_else(|| ReactionError::Permanent(anyhow!("an event that nobody reacted to")))
    }

    async fn save(&self, _conn: &mut AsyncPgConnection, _loaded: VecDeque<Handled>) -> Result<(), ReactionError> {
        Ok(())
    }

    fn committed(&self) {
        EventByEvent::committed(self);
    }
}
