//! What the tests of the console share: a console on a port of its own, services that are told what to answer, and a browser
//! without a screen.
#![allow(dead_code, reason = "shared by several test programs, each of which needs a part")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

pub mod shopping;
pub mod told;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, OnceLock};

use actix_web::web::ServiceConfig;
use chrono::{TimeDelta, Utc};

use console::beside::Beside;
use console::config::{BesideUrls, Urls};
use console::control::samples::Samples;
use console::heard::{Changes, ConsoleReactions};
use console::http::{AppState, routes};
use console::pages::Pages;
use console::services::Services;
use console::sessions::{self, Session};
use console::sign_in::Issuer;
use quadrille_testing::Served;
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::Value;
use service_kit::auth::{AuthConfig, Guard, Source};
use service_kit::config::HttpConfig;
use service_kit::consumer::Record;
use service_kit::consumer::testing::react;
use service_kit::http::{Readiness, bind};
use service_kit::testing::TestDb;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

pub struct Console {
    pub db: TestDb,
    pub served: Served,
    pub changes: Changes,
    /// All four services: their paths differ.
    pub services: MockServer,
    /// Who asks them.
    pub asks: Services,
    pub samples: Samples,
    pub browser: Browser,
}

impl Console {
    /// A console at which nobody signs in, so that everybody may do everything.
    pub async fn start() -> Self {
        Self::with_issuer(None).await
    }

    pub async fn with_issuer(issuer: Option<Issuer>) -> Self {
        Self::made(issuer, None, false).await
    }

    /// One at which a client may order so often in a minute.
    pub async fn limited(issuer: Option<Issuer>, per_minute: u32) -> Self {
        Self::made(issuer, NonZeroU32::new(per_minute), false).await
    }

    /// One that has everything beside its services that there can be: all answer where the services do.
    pub async fn with_all_beside() -> Self {
        Self::beside(None, true).await
    }

    pub async fn beside(issuer: Option<Issuer>, has_all: bool) -> Self {
        Self::made(issuer, None, has_all).await
    }

    async fn made(issuer: Option<Issuer>, per_minute: Option<NonZeroU32>, has_all: bool) -> Self {
        let db = TestDb::new(&console::migrations()).await;
        let (services, changes) = (MockServer::start().await, Changes::default());
        let at: url::Url = services.uri().parse().unwrap();
        let beside = has_all.then(|| at.clone());
        let urls = Urls {
            orders: at.clone(),
            payments: at.clone(),
            stock: at.clone(),
            notifications: at.clone(),
            ops: Default::default(),
            relays: Default::default(),
            stuck: at.join("stuck").ok(),
        };
        let (url, stop) = (Arc::new(OnceLock::new()), CancellationToken::new());
        let (asks, samples) = (Services::new(urls).unwrap(), Samples::default());
        let state = AppState {
            pool: db.pool.clone(),
            pages: Arc::new(Pages::new().unwrap()),
            services: asks.clone(),
            beside: Beside::new(BesideUrls { watch: beside.clone(), gateway: beside.clone(), runner: beside }).unwrap(),
            traces: "http://traces.example/trace/".parse().ok(),
            samples: samples.clone(),
            issuer,
            url: Arc::clone(&url),
            is_sandbox: true,
            proxies: "127.0.0.1".parse().unwrap(),
            changes: changes.clone(),
            live: Arc::new(Semaphore::new(4)),
            stop: stop.clone(),
        };
        let served = served(per_minute, stop, move |config| routes(config, &state));
        url.set(served.root.clone()).unwrap();
        Self { db, served, changes, services, asks, samples, browser: Browser::default() }
    }

    /// Signs somebody in, whose token is `token of` them.
    pub async fn sign_in_as(&self, sub: &str, role: &str) {
        let session = Session {
            sub: sub.to_owned(),
            name: None,
            email: None,
            roles: vec![role.to_owned()],
            access_token: format!("token of {sub}"),
            refresh_token: None,
            id_token: None,
            good_until: Utc::now() + TimeDelta::hours(1),
        };
        let cookie = sessions::begin(&self.db.pool, &session).await.unwrap();
        self.browser.keep("console_session", &cookie);
    }

    /// Has the services answer a request.
    pub async fn answers(&self, verb: &str, at: &str, status: u16, body: Value) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(method(verb)).and(path(at)).respond_with(answer).mount(&self.services).await;
    }

    /// The cookie of somebody with this role, by which they are known as well.
    pub async fn session(&self, role: &str) -> String {
        let session = Session {
            sub: role.to_owned(),
            name: None,
            email: None,
            roles: vec![role.to_owned()],
            access_token: "token".to_owned(),
            refresh_token: None,
            id_token: None,
            good_until: Utc::now() + TimeDelta::hours(1),
        };
        sessions::begin(&self.db.pool, &session).await.unwrap()
    }

    /// The browser is signed in from now on.
    pub async fn signs_in(&self, role: &str) {
        let session = self.session(role).await;
        self.browser.keep("console_session", &session);
    }

    /// Has the console hear a record.
    pub async fn hear(&self, record: &Record) {
        let reactions = ConsoleReactions::new(self.changes.clone());
        react(&self.db.pool, &reactions, record).await.unwrap();
    }

    /// A page, with its status.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let answer = self.get(path).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub async fn get(&self, path: &str) -> Response {
        self.browser.get(&format!("{}{path}", self.served.root)).await
    }

    /// What proves that a form is from here; the same on every page that has one.
    pub async fn proof(&self) -> String {
        let pages = self.page("/basket").await.1 + &self.page("/").await.1;
        between(&pages, r#"name="proof" value=""#, "\"").to_owned()
    }

    /// Sends a form that stands on the page at `from`, with what proves its origin.
    pub async fn send(&self, from: &str, action: &str, fields: &[(&str, &str)]) -> Response {
        let (_, page) = self.page(from).await;
        let proof = between(&page, r#"name="proof" value=""#, "\"");
        let fields = fields.iter().copied().chain([("proof", proof)]).collect::<Vec<_>>();
        self.browser.post(&format!("{}{action}", self.served.root), &fields).await
    }
}

/// Serves these routes; a client may ask for what is limited so often in a minute.
fn served<F>(per_minute: Option<NonZeroU32>, stop: CancellationToken, routes: F) -> Served
where
    F: Fn(&mut ServiceConfig) + Clone + Send + 'static,
{
    let mut listen = HttpConfig::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    listen.rate_limit.per_minute = per_minute;
    let server = bind("test", listen, Readiness::default(), Guard::for_everybody(), stop.clone(), routes).unwrap();
    let root = format!("http://127.0.0.1:{}", server.port());
    tokio::spawn(server.run());
    Served { url: root.clone(), root, client: Client::new(), stop }
}

/// Somewhere to sign in, where nobody does.
pub fn issuer() -> Issuer {
    let issuer = "http://127.0.0.1:9".to_owned();
    let keys = Source::Discovery(issuer.clone());
    let (audience, roles_claim) = ("quadrille".to_owned(), "roles".to_owned());
    let config = AuthConfig::By { issuer, audience, keys, roles_claim };
    Issuer::new(&config, "console".to_owned(), None).unwrap().unwrap()
}

/// A browser that keeps cookies, and shows where it is led.
pub struct Browser {
    client: Client,
    cookies: Mutex<BTreeMap<String, String>>,
    /// `X-Forwarded-For`, as a proxy before the console says it.
    pub forwarded: Mutex<Option<&'static str>>,
}

impl Default for Browser {
    fn default() -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { client, cookies: Mutex::default(), forwarded: Mutex::default() }
    }
}

impl Browser {
    pub async fn get(&self, url: &str) -> Response {
        self.ask(self.client.get(url)).await
    }

    pub async fn post<N: AsRef<str>, V: AsRef<str>>(&self, url: &str, fields: &[(N, V)]) -> Response {
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        self.ask(self.client.post(url).form(&fields)).await
    }

    /// Another browser with the cookies that this one has now.
    pub fn as_it_is(&self) -> Self {
        Self {
            client: self.client.clone(),
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
            forwarded: Mutex::new(*self.forwarded.lock().unwrap()),
        }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn keep(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    async fn ask(&self, request: RequestBuilder) -> Response {
        let known: Vec<_> =
            self.cookies.lock().unwrap().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let forwarded = *self.forwarded.lock().unwrap();
        let request = forwarded.into_iter().fold(request, |request, by| request.header("x-forwarded-for", by));
        let answer = request.header("cookie", known.join("; ")).send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
        }
        answer
    }
}

pub fn led_to(answer: &Response) -> &str {
    answer.headers().get("location").map_or("", |to| to.to_str().unwrap())
}

/// What stands between two texts on a page; empty if it isn't there.
pub fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split_once(before).and_then(|(_, rest)| rest.split_once(after)).map_or("", |(found, _)| found)
}
