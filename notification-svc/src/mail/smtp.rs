use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::response::{Category, Code, Severity};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, transport::smtp};

use super::message::compose;
use super::{Mail, MailSender, Sending};
use crate::domain::SendError;

/// How long one step of the conversation with the mail server may take.
const STEP: Duration = Duration::from_secs(15);
/// How long sending one mail may take in all; with the question whether the server is there, well within the lease.
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
                Ok(Err(error)) => Err(match error.status() {
                    Some(code) => judged(code, &error),
                    None => unanswered(&server, &error).await,
                }),
                Err(_) => Err(unanswered(&server, format!("no end within {} s", WHOLE.as_secs())).await),
            }
        })
    }
}

fn judged(code: Code, error: &smtp::Error) -> SendError {
    if concerns_all(code) {
        SendError::unavailable(error)
    } else if code.severity == Severity::PermanentNegativeCompletion {
        SendError::permanent(error)
    } else {
        SendError::transient(error)
    }
}

/// Whether the server would say the same to any mail: the service is not available (421), its storage is full (452), or it
/// refuses us and not the mail (x3z and 454: no encryption, wrong credentials).
fn concerns_all(code: Code) -> bool {
    code.category == Category::Unspecified3 || matches!(code.to_string().as_str(), "421" | "452" | "454")
}

/// A mail without an answer: the server is at fault, unless it answers when it isn't given this mail.
async fn unanswered(server: &AsyncSmtpTransport<Tokio1Executor>, error: impl ToString) -> SendError {
    match tokio::time::timeout(STEP, server.test_connection()).await {
        Ok(Ok(true)) => SendError::transient(error),
        Ok(Ok(false) | Err(_)) | Err(_) => SendError::unavailable(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lettre::transport::smtp::response::Detail;

    #[test]
    fn what_concerns_all_mails_is_told_from_what_concerns_one() {
        let transient = Severity::TransientNegativeCompletion;
        let permanent = Severity::PermanentNegativeCompletion;
        let code = |severity, category, detail| Code::new(severity, category, detail);
        for all in [
            code(transient, Category::Connections, Detail::One),   // 421
            code(transient, Category::MailSystem, Detail::Two),    // 452
            code(transient, Category::MailSystem, Detail::Four),   // 454
            code(permanent, Category::Unspecified3, Detail::Five), // 535
        ] {
            assert!(concerns_all(all), "{all}");
        }
        for one in [
            code(transient, Category::MailSystem, Detail::Zero), // 450
            code(transient, Category::MailSystem, Detail::One),  // 451
            code(permanent, Category::MailSystem, Detail::Zero), // 550
        ] {
            assert!(!concerns_all(one), "{one}");
        }
    }
}
