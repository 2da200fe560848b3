use std::str::FromStr;
use std::time::Duration;

use outbox_relay::service::ServiceConfig;
use secrecy::ExposeSecret;
use service_kit::config::{Reader, Var};

use crate::mail::{From, Transport};

/// The variables that only this service reads, and its own default of `HTTP_ADDR`.
pub mod vars {
    use super::Var;

    pub static HTTP_ADDR: Var = Var::http_addr("127.0.0.1:8083", "0.0.0.0:8083");
    pub static MAIL_TRANSPORT: Var = Var {
        name: "MAIL_TRANSPORT",
        what: "How mails leave: as files in a folder, or to an SMTP server.",
        expected: "file:FOLDER, smtp://HOST:PORT, smtp://USER:PASSWORD@HOST:PORT?tls=required or smtps://USER:PASSWORD@HOST:PORT",
        example: "smtps://shop:secret@mail.example.com:465",
        default: None,
    };
    pub static MAIL_FROM: Var = Var {
        name: "MAIL_FROM",
        what: "Who mails come from.",
        expected: "an address, with a name or without",
        example: "The Shop <shop@example.com>",
        default: None,
    };
    pub static NOTIFICATIONS_TTL: Var = Var {
        name: "NOTIFICATIONS_TTL",
        what: "How long the notifications of an order are kept, counted from the last of them.",
        expected: "a duration from 1d to 36500d",
        example: "400d",
        default: Some("400d"),
    };
}

#[derive(Clone, Debug)]
pub struct Config {
    pub service: ServiceConfig,
    pub mail_transport: Transport,
    pub mail_from: From,
    pub notifications_ttl: Duration,
}

impl Config {
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let service = ServiceConfig::read(reader, &vars::HTTP_ADDR);
        let mail_transport = mail_transport(reader);
        let mail_from = reader.read(&vars::MAIL_FROM);
        let notifications_ttl = reader.time_to_live(&vars::NOTIFICATIONS_TTL);
        Some(Self {
            service: service?,
            mail_transport: mail_transport?,
            mail_from: mail_from?,
            notifications_ttl: notifications_ttl?,
        })
    }
}

/// Read as a secret, since a server's URL may hold a password.
fn mail_transport(reader: &mut Reader) -> Option<Transport> {
    let given = reader.secret(&vars::MAIL_TRANSPORT)?;
    match Transport::from_str(given.expose_secret()) {
        Ok(transport) => Some(transport),
        Err(why) => {
            reader.refuse(&vars::MAIL_TRANSPORT, why);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 4] = [
        ("DATABASE_URL", "postgres://n@127.0.0.1/notification_svc"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        ("MAIL_TRANSPORT", "file:/tmp/mails"),
        ("MAIL_FROM", "The Shop <shop@example.com>"),
    ];

    #[test]
    fn a_whole_configuration_is_read() {
        let config = Reader::from_pairs(WHOLE).whole(Config::read).unwrap();
        assert_eq!(config.service.http.addr.port(), 8083);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_no_password_is_shown() {
        let given = [("MAIL_TRANSPORT", "smtp://shop:hunter2@mail.example"), ("MAIL_FROM", "nobody")];
        let told = Reader::from_pairs(given).whole(Config::read).unwrap_err().to_string();
        for name in ["DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "MAIL_TRANSPORT", "MAIL_FROM"] {
            assert!(told.contains(name), "{told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
}
