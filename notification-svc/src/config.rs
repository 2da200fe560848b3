use std::str::FromStr;
use std::time::Duration;

use outbox_relay::service::ServiceConfig;
use secrecy::ExposeSecret;
use service_kit::auth::{AuthConfig, GuestLinks};
use service_kit::config::vars::SANDBOX;
use service_kit::config::{Reader, Var};
use service_kit::http_client::is_on_this_machine;
use url::Url;

use crate::mail::{From, Transport};
use crate::push::FirebaseConfig;
use crate::sms::TwilioConfig;

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
    pub static SHOP_URL: Var = Var {
        name: "SHOP_URL",
        what: "Where customers reach the shop's API: the links in guests' mails begin with it.",
        expected: "an https URL; http on loopback or with SANDBOX=1",
        example: "https://shop.example.com",
        default: None,
    };
    pub static TWILIO_ACCOUNT_SID: Var = Var {
        name: "TWILIO_ACCOUNT_SID",
        what: "The account at Twilio by which text messages go. While it is not set, what customers want as text messages goes by mail.",
        expected: "letters and digits",
        example: "AC0123456789abcdef0123456789abcdef",
        default: None,
    };
    pub static TWILIO_AUTH_TOKEN: Var = Var {
        name: "TWILIO_AUTH_TOKEN",
        what: "That account's token. Needed with TWILIO_ACCOUNT_SID.",
        expected: "any text",
        example: "9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c4d",
        default: None,
    };
    pub static TWILIO_FROM: Var = Var {
        name: "TWILIO_FROM",
        what: "Who text messages come from. Needed with TWILIO_ACCOUNT_SID.",
        expected: "a number, a sender's name, or a messaging service (MG...)",
        example: "+15005550006",
        default: None,
    };
    pub static TWILIO_URL: Var = Var {
        name: "TWILIO_URL",
        what: "Where Twilio's API is, or another that speaks it.",
        expected: "an https URL; http on loopback or with SANDBOX=1",
        example: "http://127.0.0.1:8090",
        default: Some("https://api.twilio.com"),
    };
    pub static FCM_PROJECT: Var = Var {
        name: "FCM_PROJECT",
        what: "The project at Firebase by which push messages go. While it is not set, what customers want as push messages goes by mail.",
        expected: "letters, digits and -",
        example: "quadrille-shop",
        default: None,
    };
    pub static FCM_ACCESS_TOKEN: Var = Var {
        name: "FCM_ACCESS_TOKEN",
        what: "An OAuth 2.0 access token for that project. Google's live for an hour: in a file that is renewed it is read for each message. Needed with FCM_PROJECT.",
        expected: "any text",
        example: "ya29.a0AfH6SM",
        default: None,
    };
    pub static FCM_URL: Var = Var {
        name: "FCM_URL",
        what: "Where Firebase Cloud Messaging is, or another that speaks its HTTP v1 API.",
        expected: "an https URL; http on loopback or with SANDBOX=1",
        example: "http://127.0.0.1:8090",
        default: Some("https://fcm.googleapis.com"),
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
    /// None if text messages are off.
    pub sms: Option<TwilioConfig>,
    /// None if push messages are off.
    pub push: Option<FirebaseConfig>,
    /// None if guests get no links.
    pub guests: Option<Guests>,
    pub notifications_ttl: Duration,
}

/// What the links in guests' mails are made of.
#[derive(Clone, Debug)]
pub struct Guests {
    pub links: GuestLinks,
    pub shop: Url,
}

impl Config {
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let service = ServiceConfig::read(reader, &vars::HTTP_ADDR);
        let mail_transport = mail_transport(reader);
        let mail_from = reader.read(&vars::MAIL_FROM);
        let sms = sms(reader);
        let push = push(reader);
        let by_token = service.as_ref().is_some_and(|service| service.auth != AuthConfig::Off);
        let guests = guests(reader, by_token);
        let notifications_ttl = reader.time_to_live(&vars::NOTIFICATIONS_TTL);
        Some(Self {
            service: service?,
            mail_transport: mail_transport?,
            mail_from: mail_from?,
            sms: sms?,
            push: push?,
            guests: guests?,
            notifications_ttl: notifications_ttl?,
        })
    }
}

fn guests(reader: &mut Reader, by_token: bool) -> Option<Option<Guests>> {
    let links = GuestLinks::read(reader, by_token);
    let shop = reader.optional::<Url>(&vars::SHOP_URL);
    match (links?, shop?) {
        (None, _) => Some(None),
        (Some(links), Some(shop)) => safe(reader, &vars::SHOP_URL, shop).map(|shop| Some(Guests { links, shop })),
        (Some(_), None) => {
            reader.lacks(&vars::SHOP_URL, "guests get links in their mails (GUEST_ORDERS=off asks for an account)");
            None
        }
    }
}

fn sms(reader: &mut Reader) -> Option<Option<TwilioConfig>> {
    let base_url = reader.read::<Url>(&vars::TWILIO_URL);
    let account = reader.optional::<Name>(&vars::TWILIO_ACCOUNT_SID);
    let token = reader.optional_secret(&vars::TWILIO_AUTH_TOKEN);
    let from = reader.optional::<String>(&vars::TWILIO_FROM);
    let Some(Name(account)) = account? else { return Some(None) };
    if token.is_none() {
        reader.lacks(&vars::TWILIO_AUTH_TOKEN, "TWILIO_ACCOUNT_SID is");
    }
    let from = from?;
    if from.is_none() {
        reader.lacks(&vars::TWILIO_FROM, "TWILIO_ACCOUNT_SID is");
    }
    let base_url = safe(reader, &vars::TWILIO_URL, base_url?)?;
    Some(Some(TwilioConfig { base_url, account, token: token?, from: from? }))
}

fn push(reader: &mut Reader) -> Option<Option<FirebaseConfig>> {
    let base_url = reader.read::<Url>(&vars::FCM_URL);
    let project = reader.optional::<Name>(&vars::FCM_PROJECT);
    let token = reader.optional_changing_secret(&vars::FCM_ACCESS_TOKEN);
    let Some(Name(project)) = project? else { return Some(None) };
    if token.is_none() {
        reader.lacks(&vars::FCM_ACCESS_TOKEN, "FCM_PROJECT is");
    }
    let base_url = safe(reader, &vars::FCM_URL, base_url?)?;
    Some(Some(FirebaseConfig { base_url, project, token: token? }))
}

/// An address to which credentials, or guests with theirs, may go: nobody between reads them.
fn safe(reader: &mut Reader, var: &'static Var, url: Url) -> Option<Url> {
    let is_sandbox = reader.optional::<u8>(&SANDBOX) == Some(Some(1));
    let fault = match url.scheme() {
        "https" => None,
        "http" if is_sandbox || is_on_this_machine(&url) => None,
        "http" => Some("whoever is between could read what is sent there: take https"),
        _ => Some("it is no address that begins with https://"),
    };
    match fault {
        None => Some(url),
        Some(why) => {
            reader.refuse(var, why);
            None
        }
    }
}

/// An account's or project's name, which becomes a part of a path.
struct Name(String);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.chars().all(|char| char.is_ascii_alphanumeric() || char == '-');
        if fits { Ok(Self(text.to_owned())) } else { Err("it has other characters than letters, digits and -") }
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

    const WHOLE: [(&str, &str); 5] = [
        ("AUTH", "off"),
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

    fn with(more: &[(&str, &str)]) -> Result<Config, String> {
        let given: Vec<_> = WHOLE.iter().chain(more).copied().collect();
        Reader::from_pairs(given).whole(Config::read).map_err(|error| error.to_string())
    }

    #[test]
    fn text_and_push_messages_are_off_until_they_are_whole() {
        let off = with(&[]).unwrap();
        assert!(off.sms.is_none() && off.push.is_none() && off.guests.is_none());
        let refused = with(&[("TWILIO_ACCOUNT_SID", "AC1"), ("FCM_PROJECT", "shop")]).unwrap_err();
        for name in ["TWILIO_AUTH_TOKEN is not set", "TWILIO_FROM is not set", "FCM_ACCESS_TOKEN is not set"] {
            assert!(refused.contains(name), "{refused}");
        }
        let twilio = [("TWILIO_ACCOUNT_SID", "AC1"), ("TWILIO_AUTH_TOKEN", "hunter2"), ("TWILIO_FROM", "Shop")];
        let firebase = [("FCM_PROJECT", "shop"), ("FCM_ACCESS_TOKEN", "hunter2")];
        let on = with(&[&twilio[..], &firebase].concat()).unwrap();
        assert_eq!(on.sms.as_ref().unwrap().base_url.as_str(), "https://api.twilio.com/");
        assert!(on.push.is_some() && !format!("{on:?}").contains("hunter2"));
        let refused = with(&[("TWILIO_ACCOUNT_SID", "../AC1")]).unwrap_err();
        assert!(refused.contains("TWILIO_ACCOUNT_SID is"), "{refused}");
    }

    #[test]
    fn credentials_and_guests_are_sent_nowhere_in_clear() {
        let secret = ("GUEST_LINK_SECRET", "0123456789abcdef0123456789abcdef");
        let at = |url: &'static str| with(&[secret, ("SHOP_URL", url)]);
        assert!(at("http://shop.example").unwrap_err().contains("SHOP_URL is refused"));
        assert!(at("ftp://shop.example").unwrap_err().contains("SHOP_URL is refused"));
        assert!(at("https://shop.example").is_ok() && at("http://127.0.0.1:8080").is_ok());
        assert!(with(&[secret]).unwrap_err().contains("SHOP_URL is not set"));
        let sandbox = [secret, ("SHOP_URL", "http://traefik"), ("SANDBOX", "1")];
        assert!(with(&sandbox).is_ok());
        let twilio = [("TWILIO_ACCOUNT_SID", "AC1"), ("TWILIO_AUTH_TOKEN", "t"), ("TWILIO_FROM", "Shop")];
        let refused = with(&[&twilio[..], &[("TWILIO_URL", "http://twilio.example")]].concat()).unwrap_err();
        assert!(refused.contains("TWILIO_URL is refused"), "{refused}");
    }
}
