//! The Stripe API: <https://docs.stripe.com/api>. One adapter for api.stripe.com, stripe-mock and the sandbox gateway.

mod journal;
mod wire;

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use service_kit::http_client;
use service_kit::retry::Backoff;
use shared_events::{Money, PaymentMethod, RefundId};

use super::{GatewayError, GivenBack, IntentState, NewIntent, NewRefund, PaymentGateway, RefundOutcome};
use wire::{DisputeObject, IntentObject, ListObject, Listed, RefundObject};

/// The version of the API whose shapes `wire` reads.
pub const VERSION: &str = "2024-06-20";
/// Attempts at a request that was not done. One that was not answered is never repeated here.
const ATTEMPTS: u32 = 3;
/// Objects on one page of a look-up: Stripe's maximum.
const PAGE: &str = "100";

#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// `https://api.stripe.com`, or the sandbox's address.
    pub base_url: String,
    /// `sk_...`
    pub key: SecretString,
    pub timeout: Duration,
    /// Where customers return to from their bank's page. Only a request that names it gets the address of that page.
    pub return_url: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Stripe {
    client: Client,
    config: StripeConfig,
}

type Form<'a> = Vec<(&'a str, String)>;

impl Stripe {
    /// Nothing is sent yet. Fails if the TLS set-up of this machine is broken.
    pub fn new(config: StripeConfig) -> anyhow::Result<Self> {
        let connect = config.timeout.min(Duration::from_secs(3));
        let base_url = config.base_url.trim_end_matches('/').to_owned();
        let url = Url::parse(&base_url).context("PAYMENT_GATEWAY_URL is no address")?;
        let client = http_client::builder(&url).connect_timeout(connect).timeout(config.timeout);
        let client = client.build().context("no client for PAYMENT_GATEWAY_URL (are CA certificates installed?)")?;
        Ok(Self { client, config: StripeConfig { base_url, ..config } })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = http_client::traced(self.client.request(method, format!("{}{path}", self.config.base_url)));
        request.bearer_auth(self.config.key.expose_secret()).header("Stripe-Version", VERSION)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, key: &str, form: &Form<'_>) -> Result<T, GatewayError> {
        self.ask(|| self.request(Method::POST, path).header("Idempotency-Key", key).form(form)).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, query: &Form<'_>) -> Result<T, GatewayError> {
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
        self.ask(|| self.request(Method::GET, &path)).await
    }

    /// All that a list has of an intent, page by page, the newest first.
    async fn all_of<T: DeserializeOwned + Listed>(&self, path: &str, intent: String) -> Result<Vec<T>, GatewayError> {
        let mut query = vec![("payment_intent", intent), ("limit", PAGE.to_owned())];
        let mut all = Vec::new();
        loop {
            let page: ListObject<T> = self.get(path, &query).await?;
            let last = page.data.last().map(|last| last.id().to_owned());
            all.extend(page.data);
            let Some(last) = last.filter(|_| page.has_more) else { return Ok(all) };
            query.truncate(2);
            query.push(("starting_after", last));
        }
    }

    /// Sends, and sends again what was not done, a few times with backoff. The worker goes on after that.
    async fn ask<T: DeserializeOwned>(&self, request: impl Fn() -> RequestBuilder) -> Result<T, GatewayError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let mut attempt = 1;
        loop {
            let answer = match request().send().await {
                Ok(response) => read(response).await,
                Err(error) if error.is_connect() => Err(GatewayError::Away(told(&error))),
                Err(error) if error.is_builder() => Err(GatewayError::NotDone(told(&error))),
                Err(error) => Err(GatewayError::NoAnswer(told(&error))),
            };
            match answer {
                Err(GatewayError::NotDone(why) | GatewayError::Away(why)) if attempt < ATTEMPTS => {
                    tracing::debug!(why, attempt, "the gateway is asked again");
                    tokio::time::sleep(backoff.next_wait()).await;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }
}

/// The error without its URL, which holds ids.
fn told(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "timed out".to_owned()
    } else if error.is_connect() {
        "can't connect".to_owned()
    } else {
        "the connection failed".to_owned()
    }
}

/// An amount in the gateway's own units. One that has none, priced before that was checked, is refused as the gateway
/// would.
fn told_as(amount: Money) -> Result<String, GatewayError> {
    amount.to_gateway().map(|amount| amount.to_string()).map_err(|why| {
        tracing::error!(%why, "an amount that the gateway does not take");
        GatewayError::Misused { code: "invalid_amount".to_owned(), parameter: Some("amount".to_owned()) }
    })
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, GatewayError> {
    let status = response.status();
    let body = response.bytes().await.map_err(|error| GatewayError::NoAnswer(told(&error)))?;
    if !status.is_success() {
        return Err(wire::error(status.as_u16(), &body));
    }
    serde_json::from_slice(&body).map_err(|error| GatewayError::NoAnswer(format!("the answer can't be read: {error}")))
}

impl PaymentGateway for Stripe {
    async fn create(&self, key: String, intent: NewIntent) -> Result<String, GatewayError> {
        let form = vec![
            ("amount", told_as(intent.amount)?),
            ("currency", intent.amount.currency().code().to_lowercase()),
            ("capture_method", "manual".to_owned()),
            ("payment_method", intent.method.to_string()),
            ("payment_method_types[0]", "card".to_owned()),
            ("metadata[order_id]", intent.order_id.to_string()),
        ];
        let made: IntentObject = self.post("/v1/payment_intents", &key, &form).await?;
        Ok(made.id)
    }

    async fn confirm(&self, key: String, intent: String, method: PaymentMethod) -> Result<IntentState, GatewayError> {
        let mut form = vec![("payment_method", method.to_string())];
        form.extend(self.config.return_url.clone().map(|url| ("return_url", url)));
        let path = format!("/v1/payment_intents/{intent}/confirm");
        Ok(self.post::<IntentObject>(&path, &key, &form).await?.state())
    }

    async fn capture(&self, key: String, intent: String) -> Result<IntentState, GatewayError> {
        let path = format!("/v1/payment_intents/{intent}/capture");
        Ok(self.post::<IntentObject>(&path, &key, &vec![]).await?.state())
    }

    async fn cancel(&self, key: String, intent: String) -> Result<IntentState, GatewayError> {
        let path = format!("/v1/payment_intents/{intent}/cancel");
        let form = vec![("expand[0]", "latest_charge".to_owned())];
        Ok(self.post::<IntentObject>(&path, &key, &form).await?.state())
    }

    async fn look_up(&self, intent: String) -> Result<IntentState, GatewayError> {
        let query = vec![("expand%5B0%5D", "latest_charge".to_owned())];
        Ok(self.get::<IntentObject>(&format!("/v1/payment_intents/{intent}"), &query).await?.state())
    }

    async fn refund(&self, key: String, refund: NewRefund) -> Result<RefundOutcome, GatewayError> {
        let form = vec![
            ("payment_intent", refund.intent),
            ("amount", told_as(refund.amount)?),
            ("metadata[refund_id]", refund.id.to_string()),
        ];
        Ok(self.post::<RefundObject>("/v1/refunds", &key, &form).await?.outcome())
    }

    async fn look_up_refund(&self, intent: String, refund: RefundId) -> Result<Option<RefundOutcome>, GatewayError> {
        let refunds: Vec<RefundObject> = self.all_of("/v1/refunds", intent).await?;
        Ok(refunds.iter().find(|found| found.is(refund)).map(RefundObject::outcome))
    }

    async fn given_back(&self, intent: String) -> Result<Vec<GivenBack>, GatewayError> {
        let refunds: Vec<RefundObject> = self.all_of("/v1/refunds", intent.clone()).await?;
        let disputes: Vec<DisputeObject> = self.all_of("/v1/disputes", intent).await?;
        // Lists are newest first.
        let refunds = refunds.into_iter().rev().map(RefundObject::given_back);
        Ok(refunds.chain(disputes.into_iter().rev().map(DisputeObject::given_back)).collect())
    }
}
