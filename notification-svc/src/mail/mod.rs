//! Mails on their way out: what a mail is, who sends it, and the worker that has them sent.

mod files;
mod message;
mod smtp;
mod transport;
mod worker;

pub use files::Files;
pub use smtp::Smtp;
pub use transport::{From, Transport, TransportError};
pub use worker::Deliveries;

use std::fmt;
use std::pin::Pin;

use shared_events::{NotificationId, OrderId};

use crate::domain::SendError;

/// A mail, ready to be sent. `Debug` shows neither address nor text.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its Message-ID, the same over every try, by which a repeated mail is known.
    pub id: NotificationId,
    /// The order it is about.
    pub order: OrderId,
    /// Which text.
    pub template: String,
    /// The address.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// The same as HTML; none in letters that were written without.
    pub html: Option<String>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("template", &self.template).finish_non_exhaustive()
    }
}

/// A mail that is being sent.
pub type Sending = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

/// Sends mails: the edge of this service.
pub trait MailSender: Send + Sync + 'static {
    /// Hands over one mail, within a bounded time. Sending the same mail twice must do no harm beyond a copy with the same
    /// Message-ID.
    fn send(&self, mail: Mail) -> Sending;
}
