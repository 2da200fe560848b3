//! Messages on their way out: what one is, who sends it, and the worker that has one channel's sent.

pub mod provider;
mod worker;

pub use worker::{Deliveries, server_name};

use std::fmt;
use std::pin::Pin;

use shared_events::{NotificationId, OrderId};

use crate::domain::SendError;

/// A message, ready to be sent. `Debug` shows neither recipient nor text.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The same over every try: a mail's Message-ID, and what a device shows once of a push message that was sent twice.
    pub id: NotificationId,
    pub order: OrderId,
    pub template: String,
    pub recipient: String,
    /// Of a push message its title; a text message has none.
    pub subject: Option<String>,
    pub body: String,
    /// A mail's body as HTML; none in letters that an old build wrote without.
    pub html: Option<String>,
    /// The trace that it is sent in, which whoever has the message can be asked for.
    pub traceparent: Option<String>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("template", &self.template).finish_non_exhaustive()
    }
}

pub type Sending = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

/// Sends the messages of one channel: an edge of this service.
pub trait Sender: Send + Sync + 'static {
    /// Hands over one message, within a bounded time. One whose answer is lost is sent again, with the same id.
    fn send(&self, message: Message) -> Sending;
}
