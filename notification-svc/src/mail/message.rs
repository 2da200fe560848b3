use lettre::address::Envelope;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart};
use lettre::{Address, Message};

use crate::delivery::Message as Mail;
use crate::domain::SendError;

/// Writes `mail` as RFC 5322 wants it. Fails if the address or the text can't be sent.
pub(super) fn compose(from: &Mailbox, mail: Mail) -> Result<Message, SendError> {
    let recipient: Address =
        mail.recipient.parse().map_err(|error| SendError::permanent(format!("the address: {error}")))?;
    // lettre reads the envelope from the headers, and can't read a quoted local part there
    let envelope = Envelope::new(Some(from.email.clone()), vec![recipient.clone()]).map_err(SendError::permanent)?;
    let message = builder(from, &mail)
        .envelope(envelope)
        .to(Mailbox::new(None, recipient))
        .subject(mail.subject.unwrap_or_default());
    match mail.html {
        Some(html) => message.multipart(MultiPart::alternative_plain_html(mail.body, html)),
        None => message.header(ContentType::TEXT_PLAIN).body(mail.body),
    }
    .map_err(SendError::permanent)
}

fn builder(from: &Mailbox, mail: &Mail) -> MessageBuilder {
    let message_id = format!("<{}@{}>", mail.id, from.email.domain());
    let message = Message::builder().message_id(Some(message_id)).date_now().from(from.clone());
    match &mail.traceparent {
        Some(traceparent) => message.header(Traceparent(traceparent.clone())),
        None => message,
    }
}

/// Whoever has the mail can tell its trace.
#[derive(Clone)]
struct Traceparent(String);

impl Header for Traceparent {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("X-Traceparent")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.clone())
    }
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
            subject: Some("We have your order".to_owned()),
            body: "Hello Zoë,\n\nthank you.\n".to_owned(),
            html: Some("<p>Hello Zoë,</p>\n<p>thank you.</p>\n".to_owned()),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
        }
    }

    fn composed(recipient: &str) -> Result<String, SendError> {
        let from = "The Shop <shop@quadrille.example>".parse().unwrap();
        let message = compose(&from, mail(recipient))?;
        assert_eq!(message.envelope().to(), [recipient.parse().unwrap()]);
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_message_is_known_by_the_id_of_its_notification() {
        let text = composed("ann@example.com").unwrap();
        assert!(text.contains("Message-ID: <01980a10-7c00-7000-8000-0000000000e1@quadrille.example>\r\n"), "{text}");
    }

    #[test]
    fn a_message_tells_its_trace() {
        let text = composed("ann@example.com").unwrap();
        assert!(text.contains("X-Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"), "{text}");
    }

    #[test]
    fn every_address_that_an_order_may_have_can_be_sent_to() {
        for (given, to) in [
            ("ann@müller.de", "ann@xn--mller-kva.de"),
            ("\"a b\"@b.co", "\"a b\"@b.co"),
            ("\"a\\\"@\"@b.co", "\"a\\\"@\"@b.co"),
            ("o'neill+tea@example.co.uk", "o'neill+tea@example.co.uk"),
        ] {
            let address: shared_events::EmailAddress = given.parse().unwrap();
            let text = composed(address.as_str()).unwrap();
            assert!(text.contains(&format!("To: {to}\r\n")), "{given}: {text}");
        }
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
