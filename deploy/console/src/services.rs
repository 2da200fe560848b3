//! Asks the services, with the token of whoever looks.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;
use service_kit::http_client;
use url::Url;

use crate::config::Urls;

/// How long a service may take to answer: a page waits no longer for a part of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long somebody may look for what keeps orders: much is asked, and most of it may be away.
const LOOKS_FOR: Duration = Duration::from_secs(20);
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

    /// Whether it was refused with this code.
    pub fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { problem, .. } if problem["code"] == wanted)
    }
}

/// What is sent besides the path.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent<'a> {
    pub token: Option<&'a str>,
    pub body: Option<&'a Value>,
    /// JSON that is sent as it is, in place of `body`.
    pub text: Option<&'a str>,
    /// Makes a repeated request do nothing again.
    pub idempotency_key: Option<&'a str>,
    /// The address of whoever asks, for a service that counts requests by client.
    pub client: Option<IpAddr>,
    /// The version that is changed, as the service's `ETag` had it.
    pub if_match: Option<&'a str>,
    /// How long the service may take, where that is longer than for a part of a page.
    pub patience: Option<Duration>,
}

impl Sent<'_> {
    fn with(self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(token) = self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = self.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        if let Some(client) = self.client {
            request = request.header("x-forwarded-for", client.to_string());
        }
        if let Some(version) = self.if_match {
            request = request.header("if-match", version);
        }
        if let Some(patience) = self.patience {
            request = request.timeout(patience);
        }
        match (self.text, self.body) {
            (Some(text), _) => request.header("content-type", "application/json").body(text.to_owned()),
            (None, Some(body)) => request.json(body),
            (None, None) => request,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Services {
    /// One for each, in the order of [`Service::ALL`]: how one is reached says nothing of another.
    clients: [Client; 4],
    watch: Client,
    urls: Urls,
}

impl Services {
    /// Fails if there can be no client.
    pub fn new(urls: Urls) -> anyhow::Result<Self> {
        let Urls { orders, payments, stock, notifications, .. } = &urls;
        let clients = [client_for(orders)?, client_for(payments)?, client_for(stock)?, client_for(notifications)?];
        let watch = client_for(urls.stuck.as_ref().unwrap_or(orders))?;
        Ok(Self { clients, watch, urls })
    }

    /// Reads `path`, which may have a query and holds nothing that somebody typed unescaped.
    pub async fn get(&self, service: Service, path: &str, token: Option<&str>) -> Result<Value, Failure> {
        self.ask(service, Method::GET, path, Sent { token, ..Sent::default() }).await
    }

    /// Has something done.
    pub async fn ask(&self, service: Service, method: Method, path: &str, sent: Sent<'_>) -> Result<Value, Failure> {
        Ok(self.asked(service, method, path, sent).await?.1)
    }

    /// As [`Services::ask`], with the answer as it came: its names are in their order.
    pub async fn asked(
        &self,
        service: Service,
        method: Method,
        path: &str,
        sent: Sent<'_>,
    ) -> Result<(String, Value), Failure> {
        asked(self.client(service), service.name(), self.url(service), method, path, sent).await
    }

    /// What a service tells operators, such as its metrics.
    pub async fn told(&self, service: Service, path: &str) -> Result<String, Failure> {
        let ops = of(&self.urls.ops, service).unwrap_or_else(|| self.url(service));
        self.text(service, ops, path).await
    }

    /// The same of the relay of its outbox, where that is a program of its own.
    pub async fn told_by_relay(&self, service: Service, path: &str) -> Option<Result<String, Failure>> {
        Some(self.text(service, of(&self.urls.relays, service)?, path).await)
    }

    async fn text(&self, service: Service, url: &Url, path: &str) -> Result<String, Failure> {
        let away = |why: String| Failure::Away { service: service.name(), why };
        let url = url.join(path).map_err(|error| away(error.to_string()))?;
        let response =
            self.client(service).get(url).send().await.map_err(|error| away(error.without_url().to_string()))?;
        let body = whole(response).await.map_err(away)?;
        String::from_utf8(body).map_err(|_| away("it answers no text".to_owned()))
    }

    const fn client(&self, service: Service) -> &Client {
        let [orders, payments, stock, notifications] = &self.clients;
        match service {
            Service::Orders => orders,
            Service::Payments => payments,
            Service::Stock => stock,
            Service::Notifications => notifications,
        }
    }

    /// Whether there is somebody to ask what keeps orders.
    pub const fn knows_what_is_stuck(&self) -> bool {
        self.urls.stuck.is_some()
    }

    /// What `quadrille stuck` finds.
    pub async fn stuck(&self) -> Result<Value, Failure> {
        let away = |why: String| Failure::Away { service: "quadrille stuck", why };
        let url = self.urls.stuck.clone().ok_or_else(|| away("WATCH_URL is not set".to_owned()))?;
        let asked = self.watch.get(url).timeout(LOOKS_FOR).send().await;
        let response = asked.map_err(|error| away(error.without_url().to_string()))?;
        let body = whole(response).await.map_err(away)?;
        serde_json::from_slice(&body).map_err(|error| away(error.to_string()))
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

/// The address of a service among those of all.
fn of(urls: &[Option<Url>; 4], service: Service) -> Option<&Url> {
    let place = Service::ALL.iter().position(|known| *known == service)?;
    urls.get(place)?.as_ref()
}

/// A client that follows no redirect and waits no longer than a page does. Fails if there can be none.
pub(crate) fn client_for(url: &Url) -> anyhow::Result<Client> {
    Ok(http_client::builder(url).redirect(redirect::Policy::none()).timeout(PATIENCE).build()?)
}

/// Asks whoever answers at `url`, whom people know as `name`: the answer as it came, and read.
pub(crate) async fn asked(
    client: &Client,
    name: &'static str,
    url: &Url,
    method: Method,
    path: &str,
    sent: Sent<'_>,
) -> Result<(String, Value), Failure> {
    let away = |why: String| Failure::Away { service: name, why };
    let url = url.join(path).map_err(|error| away(error.to_string()))?;
    let request = sent.with(client.request(method, url));
    let response = http_client::traced(request).send().await.map_err(|error| away(error.without_url().to_string()))?;
    let status = response.status();
    let body = whole(response).await.map_err(away)?;
    let is_none = |_| away(format!("{status}, and no JSON"));
    let text = String::from_utf8(body).map_err(|_| away(format!("{status}, and no text")))?;
    let value = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).map_err(is_none)?,
    };
    match status {
        status if status.is_success() => Ok((text, value)),
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
