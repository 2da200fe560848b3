use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::response::{Category, Code, Severity};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor, transport::smtp};

use super::message::compose;
use crate::delivery::{Message, Sender, Sending};
use crate::domain::SendError;

/// How long one step of the conversation with the mail server may take.
const STEP: Duration = Duration::from_secs(15);
/// How long sending one mail may take in all. Together with a look whether the server is there, it is well within the
/// lease.
const WHOLE: Duration = Duration::from_secs(60);
/// The subject of an enhanced status code (RFC 3463) that is about the mail system, and not about one mailbox.
const MAIL_SYSTEM: &str = "3";

pub struct Smtp {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// Mails from `from` through the server at `url`, of which [`super::Transport`] has the forms. Fails on any other
    /// URL.
    pub fn new(url: &str, from: Mailbox) -> Result<Self, smtp::Error> {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(STEP)).build();
        Ok(Self { server, from })
    }
}

impl Sender for Smtp {
    fn send(&self, mail: Message) -> Sending {
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
    if concerns_all(code, &error.to_string()) {
        SendError::unavailable(error)
    } else if code.severity == Severity::PermanentNegativeCompletion {
        SendError::permanent(error)
    } else {
        SendError::transient(error)
    }
}

/// Whether the server would say the same to any mail: the service is not available (421), its storage is full (452), or it
/// refuses us and not the mail (x3z and 454: no encryption, wrong credentials). A 452 is also said of one mailbox that is
/// over its quota: the enhanced code (RFC 3463) tells the two apart, if the server gives one.
fn concerns_all(code: Code, said: &str) -> bool {
    match code.to_string().as_str() {
        "421" | "454" => true,
        "452" => enhanced_subject(said).is_none_or(|subject| subject == MAIL_SYSTEM),
        _ => code.category == Category::Unspecified3,
    }
}

/// The second number of the first enhanced status code, `class.subject.detail`, that was said.
fn enhanced_subject(said: &str) -> Option<&str> {
    let words = said.split(|char: char| !char.is_ascii_digit() && char != '.');
    words
        .filter_map(|word| {
            let mut numbers = word.split('.');
            let (class, subject, detail) = (numbers.next()?, numbers.next()?, numbers.next()?);
            let is_code = matches!(class, "2" | "4" | "5") && !subject.is_empty() && !detail.is_empty();
            (is_code && numbers.next().is_none()).then_some(subject)
        })
        .next()
}

/// A mail got no answer: the server is away, unless it answers when it isn't given this mail.
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
        let full = code(transient, Category::MailSystem, Detail::Two); // 452
        for (all, said) in [
            (code(transient, Category::Connections, Detail::One), "transient error (421): 4.2.1 come back later"),
            (full, "transient error (452): Insufficient system storage"),
            (full, "transient error (452): 4.3.1 Insufficient system storage"),
            (code(transient, Category::MailSystem, Detail::Four), "454"),
            (code(permanent, Category::Unspecified3, Detail::Five), "535"),
        ] {
            assert!(concerns_all(all, said), "{said}");
        }
        for (one, said) in [
            (full, "transient error (452): 4.2.2 The recipient's inbox is out of storage space. 10.0.0.1 said so"),
            (full, "transient error (452): 4.5.3 Too many recipients"),
            (code(transient, Category::MailSystem, Detail::Zero), "450"),
            (code(transient, Category::MailSystem, Detail::One), "451 4.3.0"),
            (code(permanent, Category::MailSystem, Detail::Zero), "550"),
        ] {
            assert!(!concerns_all(one, said), "{said}");
        }
    }
}
