use std::str::FromStr;
use std::time::Duration;

use outbox_relay::service::ServiceConfig;
use secrecy::{ExposeSecret, SecretString};
use service_kit::config::{DatabaseConfig, Reader, Var};

use crate::{gateway::StripeConfig, webhooks::Secrets};

pub static HTTP_ADDR: Var = Var::http_addr("127.0.0.1:8081", "127.0.0.1:8081");
pub static PAYMENT_GATEWAY_URL: Var = Var {
    name: "PAYMENT_GATEWAY_URL",
    what: "Where the payment gateway is: Stripe, or what speaks its API.",
    expected: "an http or https URL without a path",
    example: "https://api.stripe.com",
    default: Some("http://127.0.0.1:8090"),
};
pub static PAYMENT_GATEWAY_KEY: Var = Var {
    name: "PAYMENT_GATEWAY_KEY",
    what: "The secret API key at the payment gateway; the sandbox takes any.",
    expected: "a key as the gateway gives it",
    example: "sk_test_...",
    default: None,
};
pub static PAYMENT_GATEWAY_TIMEOUT: Var = Var {
    name: "PAYMENT_GATEWAY_TIMEOUT",
    what: "How long the payment gateway may take to answer; after it the outcome is unknown and is looked up.",
    expected: "a duration from 100ms to 15s",
    example: "10s",
    default: Some("10s"),
};
pub static PAYMENT_RETURN_URL: Var = Var {
    name: "PAYMENT_RETURN_URL",
    what: "The shop's page to which customers return from their bank's (3-D Secure); with it the mail that asks them to \
           confirm their payment has a link to the bank's page.",
    expected: "an http or https URL",
    example: "https://shop.example.com/thanks",
    default: None,
};
pub static PAYMENT_WEBHOOK_SECRET: Var = Var {
    name: "PAYMENT_WEBHOOK_SECRET",
    what: "What the gateway signs its webhooks with; when it is not set, none is believed, and what customers do is known only when it is looked up.",
    expected: "the secret as the gateway gives it; while it is changed, the new and the old one with a comma between",
    example: "whsec_...",
    default: None,
};
pub static PAYMENT_DEADLINE: Var = Var {
    name: "PAYMENT_DEADLINE",
    what: "How long after goods are held their payment may still be authorised; less than RESERVATION_TTL.",
    expected: "a duration from 1s to 24h",
    example: "14m",
    default: Some("14m"),
};

#[derive(Clone, Debug)]
pub struct Config {
    pub service: ServiceConfig,
    pub gateway: StripeConfig,
    pub webhook_secrets: Option<Secrets>,
    /// How long after goods are held their payment may still be authorised.
    pub deadline: Duration,
}

/// What a comparison with the gateway's journal needs.
#[derive(Clone, Debug)]
pub struct ReconcileConfig {
    pub database: DatabaseConfig,
    pub gateway: StripeConfig,
}

impl ReconcileConfig {
    /// None if any variable is wrong; the reader has noted each that is.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let database = DatabaseConfig::read(reader);
        let gateway = read_gateway(reader);
        Some(Self { database: database?, gateway: gateway? })
    }
}

impl Config {
    /// None if any variable is wrong; the reader has noted each that is.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let service = ServiceConfig::read(reader, &HTTP_ADDR);
        let gateway = read_gateway(reader);
        let webhook_secrets = read_webhook_secrets(reader);
        let day = Duration::from_secs(24 * 60 * 60);
        let deadline = reader.duration(&PAYMENT_DEADLINE, Duration::from_secs(1)..=day);
        Some(Self { service: service?, gateway: gateway?, webhook_secrets: webhook_secrets?, deadline: deadline? })
    }
}

fn read_gateway(reader: &mut Reader) -> Option<StripeConfig> {
    let url = reader.read::<BaseUrl>(&PAYMENT_GATEWAY_URL);
    let key = reader.secret(&PAYMENT_GATEWAY_KEY).filter(|key: &SecretString| {
        // Else it could not be sent in a header, which every call would say anew.
        let fits = key.expose_secret().chars().all(|c| c.is_ascii_graphic());
        if !fits {
            reader.refuse(&PAYMENT_GATEWAY_KEY, "it has blanks or other signs that no key has");
        }
        fits
    });
    // Shorter than a worker may ask, so a single request times out by itself. Several in a row may take longer; being
    // cut off then counts as no answer, which is announced and looked up like any other.
    let timeout = reader.duration(&PAYMENT_GATEWAY_TIMEOUT, Duration::from_millis(100)..=Duration::from_secs(15));
    let return_url = reader.optional::<PageUrl>(&PAYMENT_RETURN_URL);
    Some(StripeConfig { base_url: url?.0, key: key?, timeout: timeout?, return_url: return_url?.map(|url| url.0) })
}

/// `Some(None)` if no secret is set; `None`, with a problem noted, if one is malformed.
fn read_webhook_secrets(reader: &mut Reader) -> Option<Option<Secrets>> {
    let Some(text) = reader.optional_secret(&PAYMENT_WEBHOOK_SECRET) else { return Some(None) };
    match text.expose_secret().parse() {
        Ok(secrets) => Some(Some(secrets)),
        Err(why) => {
            reader.refuse(&PAYMENT_WEBHOOK_SECRET, format_args!("{why}"));
            None
        }
    }
}

/// The URL of a page, which may have a path and a query.
struct PageUrl(String);

impl FromStr for PageUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = reqwest::Url::parse(text).map_err(|_| "it is no URL")?;
        let is_page = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_page { Ok(Self(url.into())) } else { Err("it is no http or https URL") }
    }
}

struct BaseUrl(String);

impl FromStr for BaseUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = reqwest::Url::parse(text).map_err(|_| "it is no URL")?;
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && url.has_host() && bare {
            Ok(Self(text.trim_end_matches('/').to_owned()))
        } else {
            Err("it is no bare http or https URL")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_bad_is_told_at_once() {
        let given = [
            ("PAYMENT_GATEWAY_URL", "ftp://x"),
            ("PAYMENT_DEADLINE", "soon"),
            ("PAYMENT_GATEWAY_TIMEOUT", "1h"),
            ("PAYMENT_GATEWAY_KEY", "sk test"),
            ("PAYMENT_WEBHOOK_SECRET", "whsec_a,"),
        ];
        let told = Reader::from_pairs(given).whole(Config::read).unwrap_err().to_string();
        for name in [
            "PAYMENT_GATEWAY_URL is",
            "PAYMENT_GATEWAY_KEY is refused",
            "PAYMENT_WEBHOOK_SECRET is refused",
            "PAYMENT_GATEWAY_TIMEOUT is",
            "PAYMENT_DEADLINE is",
            "DATABASE_URL is not set",
            "KAFKA_BOOTSTRAP_SERVERS is not set",
        ] {
            assert!(told.contains(name), "{told}");
        }
    }

    #[test]
    fn a_gateway_is_a_bare_url() {
        for (text, good) in [
            ("https://api.stripe.com", true),
            ("http://127.0.0.1:8090/", true),
            ("https://a/v1", false),
            ("https://sk:pw@a", false),
            ("a:1", false),
        ] {
            assert_eq!(text.parse::<BaseUrl>().is_ok(), good, "{text}");
        }
    }
}
