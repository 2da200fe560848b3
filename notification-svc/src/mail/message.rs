use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, MessageBuilder, MultiPart};

use super::Mail;
use crate::domain::SendError;

/// Writes `mail` as RFC 5322 wants it.
///
/// # Errors
/// When it can't be one, which never passes.
pub(super) fn compose(from: &Mailbox, mail: Mail) -> Result<Message, SendError> {
    let recipient = mail.recipient.parse().map_err(|error| SendError::permanent(format!("the address: {error}")))?;
    let message = builder(from, &mail).to(Mailbox::new(None, recipient)).subject(mail.subject);
    match mail.html {
        Some(html) => message.multipart(MultiPart::alternative_plain_html(mail.body, html)),
        None => message.header(ContentType::TEXT_PLAIN).body(mail.body),
    }
    .map_err(SendError::permanent)
}

fn builder(from: &Mailbox, mail: &Mail) -> MessageBuilder {
    let message_id = format!("<{}@{}>", mail.id, from.email.domain());
    Message::builder().message_id(Some(message_id)).date_now().from(from.clone())
}

#[cfg(test)]
mod tests {
    use shared_events::{NotificationId, OrderId};

    use super::*;

    fn mail(recipient: &str) -> Mail {
        Mail {
            id: "01980a10-7c00-7000-8000-0000000000e1".parse::<NotificationId>().unwrap(),
            order: OrderId::new(),
            template: "order_placed".to_owned(),
            recipient: recipient.to_owned(),
            subject: "We have your order".to_owned(),
            body: "Hello Zoë,\n\nthank you.\n".to_owned(),
            html: Some("<p>Hello Zoë,</p>\n<p>thank you.</p>\n".to_owned()),
        }
    }

    fn composed(recipient: &str) -> Result<String, SendError> {
        let from = "The Shop <shop@quadrille.example>".parse().unwrap();
        compose(&from, mail(recipient)).map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_message_is_known_by_the_id_of_its_notification() {
        let text = composed("ann@example.com").unwrap();
        assert!(text.contains("Message-ID: <01980a10-7c00-7000-8000-0000000000e1@quadrille.example>\r\n"), "{text}");
    }

    #[test]
    fn a_message_is_text_and_html_and_whoever_reads_it_chooses() {
        let text = composed("ann@example.com").unwrap();
        let places =
            ["multipart/alternative", "Content-Type: text/plain; charset=utf-8\r\n", "text/html; charset=utf-8"]
                .map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")));
        assert!(places.is_sorted(), "what comes last is preferred: {text}");
        assert!(text.contains("To: ann@example.com\r\n") && text.contains("\r\nthank you."), "{text}");
        assert!(text.contains("<p>thank you.</p>"), "{text}");
    }

    #[test]
    fn a_letter_that_was_written_without_html_is_plain_text() {
        let from = "The Shop <shop@quadrille.example>".parse().unwrap();
        let plain = Mail { html: None, ..mail("ann@example.com") };
        let text = String::from_utf8(compose(&from, plain).unwrap().formatted()).unwrap();
        assert!(text.contains("Content-Type: text/plain; charset=utf-8\r\n") && !text.contains("multipart"), "{text}");
    }

    #[test]
    fn what_is_no_address_is_refused_for_good_and_not_repeated() {
        let refused = composed("ann@example.com\r\nBcc: b@example.com").unwrap_err();
        assert!(matches!(&refused, SendError::Permanent(said) if !said.contains("example.com")), "{refused:?}");
    }
}
