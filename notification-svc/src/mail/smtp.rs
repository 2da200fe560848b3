use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::response::{Category, Code, Severity};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, transport::smtp};

use super::message::compose;
use super::{Mail, MailSender, Sending};
use crate::domain::SendError;

/// How long one step of the conversation with the mail server may take.
const STEP: Duration = Duration::from_secs(15);
/// How long sending one mail may take in all; well within the lease.
const WHOLE: Duration = Duration::from_secs(60);

/// Hands mails to an SMTP server.
pub struct Smtp {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// Mails from `from` through the server at `url`; see [`super::Transport`] for what it may say.
    ///
    /// # Errors
    /// It isn't a URL of an SMTP server.
    pub fn new(url: &str, from: Mailbox) -> Result<Self, smtp::Error> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(STEP)).build();
        Ok(Self { server, from })
    }
}

impl MailSender for Smtp {
    fn send(&self, mail: Mail) -> Sending {
        let server = self.server.clone();
        let message = compose(&self.from, mail);
        Box::pin(async move {
            match tokio::time::timeout(WHOLE, server.send(message?)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(judged(&error)),
                Err(_) => Err(SendError::transient(format!("no end within {} s", WHOLE.as_secs()))),
            }
        })
    }
}

fn judged(error: &smtp::Error) -> SendError {
    if error.status().is_some_and(is_final) { SendError::permanent(error) } else { SendError::transient(error) }
}

/// A 5yz refuses the mail for good, but for x3z (530, 535, 538): there the server refuses us, and once the credentials
/// are right it takes the mail.
fn is_final(code: Code) -> bool {
    code.severity == Severity::PermanentNegativeCompletion && code.category != Category::Unspecified3
}

#[cfg(test)]
mod tests {
    use super::*;
    use lettre::transport::smtp::response::Detail;

    #[test]
    fn a_refused_mailbox_is_final_and_a_refused_password_is_not() {
        let permanent = |category, detail| Code::new(Severity::PermanentNegativeCompletion, category, detail);
        assert!(is_final(permanent(Category::MailSystem, Detail::Zero)));
        assert!(!is_final(permanent(Category::Unspecified3, Detail::Five)));
        let busy = Code::new(Severity::TransientNegativeCompletion, Category::MailSystem, Detail::One);
        assert!(!is_final(busy));
    }
}
