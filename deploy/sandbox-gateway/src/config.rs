use service_kit::config::{DatabaseConfig, HttpConfig, Reader, TelemetryConfig, Var};

use crate::webhooks::WebhookConfig;

pub static HTTP_ADDR: Var = Var {
    name: "HTTP_ADDR",
    what: "Where the sandbox gateway listens.",
    expected: "an address and a port",
    example: "127.0.0.1:8090",
    default: Some("127.0.0.1:8090"),
};

pub static SANDBOX_WEBHOOK_URL: Var = Var {
    name: "SANDBOX_WEBHOOK_URL",
    what: "Who is told by webhook what happens to intents and refunds; nobody when it is not set.",
    expected: "an http or https URL",
    example: "http://127.0.0.1:8081/api/v1/payments/webhooks/stripe",
    default: None,
};
pub static SANDBOX_WEBHOOK_SECRET: Var = Var {
    name: "SANDBOX_WEBHOOK_SECRET",
    what: "What webhooks are signed with; payment-svc's PAYMENT_WEBHOOK_SECRET. Needed with SANDBOX_WEBHOOK_URL.",
    expected: "any text",
    example: "whsec_sandbox",
    default: None,
};

#[derive(Clone, Debug)]
pub struct Config {
    pub http: HttpConfig,
    pub database: DatabaseConfig,
    pub webhooks: Option<WebhookConfig>,
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// None if any variable is wrong; the reader has noted each that is.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let http = HttpConfig::read(reader, &HTTP_ADDR);
        let database = DatabaseConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        let webhooks = read_webhooks(reader);
        Some(Self { http: http?, database: database?, webhooks: webhooks?, telemetry: telemetry? })
    }
}

/// `Some(None)` if nobody is to be told; `None`, with a problem noted, if one of the two is missing or wrong.
fn read_webhooks(reader: &mut Reader) -> Option<Option<WebhookConfig>> {
    let url = reader.optional::<Url>(&SANDBOX_WEBHOOK_URL);
    let secret = reader.optional_secret(&SANDBOX_WEBHOOK_SECRET);
    match (url?, secret) {
        (Some(Url(url)), Some(secret)) => Some(Some(WebhookConfig { url, secret })),
        (None, _) => Some(None),
        (Some(_), None) => {
            reader.lacks(&SANDBOX_WEBHOOK_SECRET, "SANDBOX_WEBHOOK_URL is");
            None
        }
    }
}

struct Url(String);

impl std::str::FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = reqwest::Url::parse(text).map_err(|_| "it is no URL")?;
        let fits = matches!(url.scheme(), "http" | "https") && url.has_host();
        if fits { Ok(Self(text.to_owned())) } else { Err("it is no http or https URL") }
    }
}
