//! E-mails on their way out: what one is, who sends it, and the worker that has them sent.

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

/// An e-mail, ready to be sent. `Debug` shows neither address nor text.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Its Message-ID, the same over every try, by which a repeated mail is known.
    pub id: NotificationId,
    pub order: OrderId,
    pub template: String,
    pub recipient: String,
    pub subject: String,
    pub body: String,
    /// The body as HTML; none in letters that an old build wrote without.
    pub html: Option<String>,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("id", &self.id).field("template", &self.template).finish_non_exhaustive()
    }
}

pub type Sending = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

/// Sends mails: the edge of this service.
pub trait MailSender: Send + Sync + 'static {
    /// Hands over one mail, within a bounded time. Sending a mail twice must do no harm beyond a copy with the same
    /// Message-ID.
    fn send(&self, mail: Mail) -> Sending;
}
