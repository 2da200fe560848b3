//! Asks the services, with the token of whoever looks.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, redirect};
use serde_json::Value;
use service_kit::http_client;
use url::Url;

use crate::config::Urls;

/// How long a service may take to answer: a page waits no longer for a part of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A larger answer is none that a page can show.
const LARGEST: usize = 8 * 1024 * 1024;

/// A service that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    Orders,
    Payments,
    Stock,
    Notifications,
}

impl Service {
    pub const ALL: [Self; 4] = [Self::Orders, Self::Payments, Self::Stock, Self::Notifications];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "order-svc",
            Self::Payments => "payment-svc",
            Self::Stock => "stock-svc",
            Self::Notifications => "notification-svc",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

/// Why a service did not do what it was asked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// It doesn't answer, or answers what can't be understood.
    #[error("{service} does not answer")]
    Away {
        service: &'static str,
        /// For operators.
        why: String,
    },
    /// It refuses (RFC 9457).
    #[error("{}", problem["detail"].as_str().unwrap_or("That was refused."))]
    Refused { status: u16, problem: Value },
}

impl Failure {
    pub const fn is(&self, wanted: StatusCode) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == wanted.as_u16())
    }
}

/// What is sent besides the path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent<'a> {
    pub token: Option<&'a str>,
    pub body: Option<&'a Value>,
    /// Makes a repeated request do nothing again.
    pub idempotency_key: Option<&'a str>,
    /// The address of whoever asks, for a service that counts requests by client.
    pub client: Option<IpAddr>,
    /// The version that is changed, as the service's `ETag` had it.
    pub if_match: Option<&'a str>,
}

#[derive(Clone, Debug)]
pub struct Services {
    client: Client,
    urls: Urls,
}

impl Services {
    /// Fails if there can be no client.
    pub fn new(urls: Urls) -> anyhow::Result<Self> {
        Ok(Self { client: client_for(&urls.orders)?, urls })
    }

    /// Reads `path`, which may have a query and holds nothing that somebody typed unescaped.
    pub async fn get(&self, service: Service, path: &str, token: Option<&str>) -> Result<Value, Failure> {
        self.ask(service, Method::GET, path, Sent { token, ..Sent::default() }).await
    }

    /// Has something done.
    pub async fn ask(&self, service: Service, method: Method, path: &str, sent: Sent<'_>) -> Result<Value, Failure> {
        asked(&self.client, service.name(), self.url(service), method, path, sent).await
    }

    /// A text as it is, such as a service's metrics.
    pub async fn text(&self, service: Service, path: &str) -> Result<String, Failure> {
        let away = |why: String| Failure::Away { service: service.name(), why };
        let url = self.url(service).join(path).map_err(|error| away(error.to_string()))?;
        let response = self.client.get(url).send().await.map_err(|error| away(error.without_url().to_string()))?;
        let body = whole(response).await.map_err(away)?;
        String::from_utf8(body).map_err(|_| away("it answers no text".to_owned()))
    }

    const fn url(&self, service: Service) -> &Url {
        match service {
            Service::Orders => &self.urls.orders,
            Service::Payments => &self.urls.payments,
            Service::Stock => &self.urls.stock,
            Service::Notifications => &self.urls.notifications,
        }
    }
}

/// A client that follows no redirect and waits no longer than a page does. Fails if there can be none.
pub(crate) fn client_for(url: &Url) -> anyhow::Result<Client> {
    Ok(http_client::builder(url).redirect(redirect::Policy::none()).timeout(PATIENCE).build()?)
}

/// Asks whoever answers at `url`, whom people know as `name`.
pub(crate) async fn asked(
    client: &Client,
    name: &'static str,
    url: &Url,
    method: Method,
    path: &str,
    sent: Sent<'_>,
) -> Result<Value, Failure> {
    let away = |why: String| Failure::Away { service: name, why };
    let url = url.join(path).map_err(|error| away(error.to_string()))?;
    let mut request = client.request(method, url);
    if let Some(token) = sent.token {
        request = request.bearer_auth(token);
    }
    if let Some(key) = sent.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    if let Some(client) = sent.client {
        request = request.header("x-forwarded-for", client.to_string());
    }
    if let Some(version) = sent.if_match {
        request = request.header("if-match", version);
    }
    if let Some(body) = sent.body {
        request = request.json(body);
    }
    let response = http_client::traced(request).send().await.map_err(|error| away(error.without_url().to_string()))?;
    let status = response.status();
    let body = whole(response).await.map_err(away)?;
    let value = match body.as_slice() {
        [] => Value::Null,
        body => serde_json::from_slice(body).map_err(|_| away(format!("{status}, and no JSON")))?,
    };
    match status {
        status if status.is_success() => Ok(value),
        // It can't do it now, and says so in its own words.
        status if status.is_server_error() => Err(away(value["detail"].as_str().unwrap_or(status.as_str()).to_owned())),
        status => Err(Failure::Refused { status: status.as_u16(), problem: value }),
    }
}

/// The body, if it is not too large.
async fn whole(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.without_url().to_string())? {
        if body.len() + chunk.len() > LARGEST {
            return Err(format!("its answer has more than {LARGEST} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A value for a query, escaped.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}
