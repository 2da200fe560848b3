//! The shop's HTTP interfaces, as a client outside sees them.

mod goods;
mod money;
mod orders;
pub mod patience;
mod session;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

pub use self::money::Journal;
use self::session::Session;
use crate::http_client;
use crate::service::Service;

/// Nobody in this run may wait longer for anything.
pub const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(5);
/// A product of the catalogue that every run begins with, 12.99 EUR.
pub const TEA: &str = "TEA-EARL-GREY-250";

#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    urls: BTreeMap<String, String>,
    patience: Duration,
    /// Where the shop has an issuer.
    session: Option<Session>,
}

impl Default for Api {
    fn default() -> Self {
        Self { client: Client::new(), urls: BTreeMap::new(), patience: PATIENCE, session: None }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct OrderDraft<'a> {
    pub sku: &'a str,
    pub quantity: u32,
    pub payment_method: &'a str,
    pub customer: &'a str,
    /// Whether it leaves name and address to the customer's profile.
    pub by_profile: bool,
}

impl Default for OrderDraft<'_> {
    fn default() -> Self {
        Self { sku: TEA, quantity: 1, payment_method: "pm_card_visa", customer: "c-accept", by_profile: false }
    }
}

impl OrderDraft<'_> {
    pub fn body(&self) -> Value {
        let mut body = json!({
            "customer": {"id": self.customer},
            "currency": "EUR",
            "lines": [{"sku": self.sku, "quantity": self.quantity}],
            "payment_method": self.payment_method,
        });
        if !self.by_profile {
            body["customer"] = json!({"id": self.customer, "name": "Ann Lee", "email": "ann@example.com"});
            body["delivery_address"] = address();
        }
        body
    }
}

fn address() -> Value {
    json!({"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"})
}

impl Api {
    /// By service name, where each answers; and how long a request may take. If the sandbox issuer is among them, every
    /// request is of somebody of the staff.
    pub fn new(urls: BTreeMap<String, String>, within: Duration) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(within).build()?;
        let issuer = urls.get(Service::SandboxIssuer.name()).map(|issuer| issuer.parse()).transpose();
        let session = issuer.context("the sandbox issuer's address")?.map(Session::at);
        Ok(Self { client, urls, patience: PATIENCE, session })
    }

    /// The same client, whose requests are of whom this token names, and of nobody without one.
    pub fn with_token(self, token: Option<&str>, within: Duration) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(within).default_headers(http_client::bearing(token)?).build()?;
        Ok(Self { client, session: None, ..self })
    }

    /// The same client, which asks again for so long while a service is away.
    #[must_use]
    pub fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn url(&self, service: Service, path: &str) -> anyhow::Result<String> {
        let base = self.urls.get(service.name()).with_context(|| format!("no address of {}", service.name()))?;
        Ok(format!("{base}{path}"))
    }

    /// A request with a token, where one is asked for.
    pub async fn request(&self, method: Method, service: Service, path: &str) -> anyhow::Result<RequestBuilder> {
        let request = self.client.request(method, self.url(service, path)?);
        Ok(match &self.session {
            Some(session) if path.starts_with("/api/") => request.bearer_auth(session.token().await?),
            _ => request,
        })
    }

    /// One request, answered with whatever status. An error is a service that isn't there.
    pub async fn ask(
        &self,
        method: Method,
        service: Service,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let request = self.request(method.clone(), service, path).await?;
        let request = if let Some(body) = body { request.json(body) } else { request };
        let at = || format!("{method} {path} of {}", service.name());
        let answer = request.send().await.with_context(at)?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| format!("the answer of {}", at()))?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Every item of a list, page by page. `path` ends in `?` or `&`, for what is added to its query.
    pub async fn all(&self, service: Service, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let (items, next) = self.page(service, path, cursor.as_deref()).await?;
            found.extend(items);
            match next {
                Some(next) => cursor = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// A page of a list: the first, or that of a cursor; and the next one's cursor, if there is a next one.
    pub async fn page(
        &self,
        service: Service,
        path: &str,
        cursor: Option<&str>,
    ) -> anyhow::Result<(Vec<Value>, Option<String>)> {
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = self.get(service, &format!("{path}limit=1000{cursor}")).await?;
        Ok((items(&page)?, page["next_cursor"].as_str().map(str::to_owned)))
    }

    async fn get(&self, service: Service, path: &str) -> anyhow::Result<Value> {
        let answer = self.request(Method::GET, service, path).await?.send().await;
        json_of(answer.with_context(|| format!("GET {path} of {}", service.name()))?).await
    }

    async fn post(&self, service: Service, path: &str, body: &Value) -> anyhow::Result<Response> {
        let answer = self.request(Method::POST, service, path).await?.json(body).send().await;
        answer.with_context(|| format!("POST {path} of {}", service.name()))
    }

    pub async fn must_be_ready(&self, service: Service) -> anyhow::Result<()> {
        self.get(service, "/readyz").await.with_context(|| format!("{} isn't ready", service.name())).map(|_| ())
    }

    pub async fn metrics(&self, service: Service) -> anyhow::Result<String> {
        let url = self.url(service, "/metrics")?;
        Ok(self.client.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// Sets the profile of a customer, as staff may.
    pub async fn set_profile(&self, customer: &str) -> anyhow::Result<()> {
        let body = json!({"name": "Ann Lee", "email": "ann@example.com", "delivery_address": address()});
        let path = format!("/api/v1/customers/{customer}");
        let (status, answer) = self.ask(Method::PUT, Service::OrderSvc, &path, Some(&body)).await?;
        ensure!(status.is_success(), "PUT {path} was answered {status}: {answer}");
        Ok(())
    }

    pub async fn notifications(&self, order: &str) -> anyhow::Result<Vec<Value>> {
        items(&self.get(Service::NotificationSvc, &format!("/api/v1/notifications?order_id={order}")).await?)
    }
}

async fn json_of(answer: Response) -> anyhow::Result<Value> {
    let (status, url) = (answer.status(), answer.url().clone());
    if !status.is_success() {
        bail!("{url} answered {status}: {}", answer.text().await.unwrap_or_default());
    }
    answer.json().await.with_context(|| format!("the answer of {url}"))
}

pub fn items(page: &Value) -> anyhow::Result<Vec<Value>> {
    page["items"].as_array().cloned().with_context(|| format!("no items in {page}"))
}

pub fn text(value: &Value, field: &str) -> anyhow::Result<String> {
    value[field].as_str().map(str::to_owned).with_context(|| format!("no {field} in {value}"))
}

pub fn number(value: &Value, field: &str) -> anyhow::Result<i64> {
    value[field].as_i64().with_context(|| format!("no {field} in {value}"))
}
