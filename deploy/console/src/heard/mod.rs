//! What the console hears: everything, and it keeps what it needs to show it.

mod summary;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use service_kit::consumer::{
    DeadLetterCopy, DeadLetterSink, Handled, Incoming, ReactionError, Reactions, Record, Subscription, Undecodable,
};
use shared_events::Topic;
use tokio::sync::broadcast;
use tokio::task;
use uuid::Uuid;

pub use summary::{Summary, order_of};

use crate::store;

/// How many orders that changed somebody who looks at an order may miss, before they look again anyway.
const CHANGES: usize = 1024;

/// Topics that are about orders. What products and customers are now, services tell when they are asked.
pub fn subscriptions() -> Vec<Subscription> {
    let topics = [Topic::Orders, Topic::Stock, Topic::Payments, Topic::Shipments, Topic::Notifications];
    topics.into_iter().map(|topic| Subscription::inbox(topic.name())).collect()
}

/// A record as it came.
#[derive(Debug, PartialEq)]
pub struct Heard {
    pub headers: Vec<(String, String)>,
    pub sent_at: Option<DateTime<Utc>>,
    pub body: String,
}

/// Tells whoever looks at an order that something was heard of it.
#[derive(Clone, Debug)]
pub struct Changes(broadcast::Sender<Uuid>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::channel(CHANGES).0)
    }
}

impl Changes {
    pub fn listen(&self) -> broadcast::Receiver<Uuid> {
        self.0.subscribe()
    }

    pub fn tell(&self, orders: impl IntoIterator<Item = Uuid>) {
        for order in orders {
            // Nobody looks: nobody need be told.
            let _ = self.0.send(order);
        }
    }
}

/// Keeps what is heard.
#[derive(Default)]
pub struct ConsoleReactions {
    changes: Changes,
    /// Of which orders something was saved in a transaction that has not ended, by the task that it runs in: several do at the same
    /// time, and none announces what another has not committed. More than have changed does no harm.
    saved: Mutex<HashMap<Option<task::Id>, Vec<Uuid>>>,
}

impl ConsoleReactions {
    pub fn new(changes: Changes) -> Self {
        Self { changes, saved: Mutex::default() }
    }
}

impl Reactions for ConsoleReactions {
    type Event = Arc<Heard>;
    type Loaded = Vec<Incoming<Arc<Heard>>>;

    /// Any type is known: it is kept, and not understood.
    fn decode(&self, _event_type: &str, value: &[u8]) -> Result<Self::Event, Undecodable> {
        Ok(Arc::new(Heard { headers: Vec::new(), sent_at: None, body: text(value) }))
    }

    fn read(&self, record: &Record, _event_type: &str, value: &[u8]) -> Result<Self::Event, Undecodable> {
        Ok(Arc::new(Heard { headers: record.headers.clone(), sent_at: record.sent_at(), body: text(value) }))
    }

    async fn load(
        &self,
        _conn: &mut AsyncPgConnection,
        batch: &[Incoming<Self::Event>],
    ) -> Result<Self::Loaded, ReactionError> {
        Ok(Vec::with_capacity(batch.len()))
    }

    fn react(&self, loaded: &mut Self::Loaded, incoming: &Incoming<Self::Event>) -> Result<Handled, ReactionError> {
        loaded.push(incoming.clone());
        Ok(Handled::Applied)
    }

    async fn save(&self, conn: &mut AsyncPgConnection, loaded: Self::Loaded) -> Result<(), ReactionError> {
        let summaries = Summary::of_all(&loaded);
        // It holds the orders' rows, so that an event is saved either before its order is forgotten or without its body.
        store::orders::save(conn, &summaries).await?;
        store::events::save(conn, &loaded).await?;
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        saved.entry(task::try_id()).or_default().extend(summaries.into_keys());
        Ok(())
    }

    fn committed(&self) {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner).remove(&task::try_id());
        self.changes.tell(saved.unwrap_or_default());
    }
}

/// Text that PostgreSQL can store.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).replace('\0', "\u{fffd}")
}

/// Its dead letters stay in its own table: it says nothing on any topic.
#[derive(Clone, Copy, Debug)]
pub struct KeptHere;

impl DeadLetterSink for KeptHere {
    async fn dead_letter(&self, _conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        tracing::warn!(topic = copy.topic, "an event can't be kept: it is a dead letter in the console's database");
        Ok(())
    }
}
