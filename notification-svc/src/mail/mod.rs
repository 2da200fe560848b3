//! E-mails: through an SMTP server, or as files.

mod files;
mod message;
mod smtp;
mod transport;

pub use files::Files;
pub use smtp::Smtp;
pub use transport::{From, Transport, TransportError};
