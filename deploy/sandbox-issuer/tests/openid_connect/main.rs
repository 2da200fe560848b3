//! The issuer as people, programs and services see it, on a real server and a real database.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod account;
mod any_issuer;
mod code_flow;
mod erasure;
mod keys;
mod machines;
mod page;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{TimeDelta, Utc};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use sandbox_issuer::{App, Clock, Config, migrations};
use serde_json::{Value, json};
use service_kit::config::Reader;
use service_kit::testing::TestDb;
use tokio_util::sync::CancellationToken;

pub struct Issuer {
    pub url: String,
    pub client: Client,
    pub db: TestDb,
    clock: Clock,
    ahead: Arc<AtomicI64>,
    stop: CancellationToken,
}

impl Issuer {
    pub async fn start() -> Self {
        Self::start_at(0).await
    }

    /// With a clock that is so many seconds ahead, and stands still.
    pub async fn start_at(seconds: i64) -> Self {
        let db = TestDb::new(&migrations()).await;
        let (ahead, stop, begun) = (Arc::new(AtomicI64::new(seconds)), CancellationToken::new(), Utc::now());
        let passed = Arc::clone(&ahead);
        let clock = Clock::new(move || begun + TimeDelta::seconds(passed.load(Ordering::SeqCst)));
        let url = serve(&db, clock.clone(), stop.clone()).await;
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self { url, client, db, clock, ahead, stop }
    }

    /// Another instance on the same database, and where it is.
    pub async fn another(&self) -> String {
        serve(&self.db, self.clock.clone(), self.stop.clone()).await
    }

    /// Has so many seconds pass.
    pub fn wait(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.client.post(format!("{}{path}", self.url)).json(body).send().await.unwrap()).await
    }

    /// What the account API says.
    pub async fn account(&self, action: &str, body: Value) -> (u16, Value) {
        self.post(&format!("/api/v1/account/auth/{action}"), &body).await
    }

    pub async fn login(&self, email: &str, password: &str) -> (u16, Value) {
        self.account("login", json!({"email": email, "password": password})).await
    }

    /// What the token endpoint says.
    pub async fn token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        answer(self.client.post(format!("{}/token", self.url)).form(form).send().await.unwrap()).await
    }

    pub async fn machine(&self, client: &str) -> (u16, Value) {
        let secret = format!("sandbox-{client}");
        self.token(&[("grant_type", "client_credentials"), ("client_id", client), ("client_secret", &secret)]).await
    }

    pub async fn jwks(&self) -> JwkSet {
        self.get("/jwks").await.json().await.unwrap()
    }

    /// The claims of a token that a service takes.
    pub async fn claims(&self, token: &Value) -> Value {
        claims(token.as_str().unwrap(), &self.jwks().await, &self.url, "quadrille").unwrap()
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(db: &TestDb, clock: Clock, stop: CancellationToken) -> String {
    let variables = [("DATABASE_URL", db.url.as_str()), ("HTTP_ADDR", "127.0.0.1:0"), ("DATABASE_POOL_SIZE", "4")];
    let config = Reader::from_pairs(variables).whole(Config::read).unwrap();
    let app = App::build_at(config, clock).await.unwrap();
    let url = format!("http://127.0.0.1:{}", app.port());
    assert_eq!(app.issuer(), url);
    tokio::spawn(app.run_until(stop));
    url
}

pub async fn answer(response: Response) -> (u16, Value) {
    let (status, body) = (response.status().as_u16(), response.text().await.unwrap());
    (status, if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() })
}

/// The claims of a token that one of these keys signed.
pub fn claims(token: &str, keys: &JwkSet, issuer: &str, audience: &str) -> Result<Value, String> {
    let header = decode_header(token).unwrap();
    let key: &Jwk = header.kid.as_deref().and_then(|kid| keys.find(kid)).ok_or("the key is not published")?;
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let token = decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &validation);
    token.map(|token| token.claims).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_discovery_document_says_where_everything_is_and_that_this_is_a_sandbox() {
    let issuer = Issuer::start().await;
    let document: Value = issuer.get("/.well-known/openid-configuration").await.json().await.unwrap();
    assert_eq!(document["issuer"], issuer.url.as_str());
    assert!(document["sandbox"].as_str().unwrap().contains("trying out"), "{document}");
    assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
    for (endpoint, status) in [("jwks_uri", 200), ("authorization_endpoint", 400), ("token_endpoint", 405)] {
        let url = document[endpoint].as_str().unwrap();
        assert_eq!(issuer.client.get(url).send().await.unwrap().status().as_u16(), status, "{endpoint}");
    }
    assert_eq!(issuer.get("/readyz").await.status().as_u16(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_what_any_issuer_does() {
    let issuer = Issuer::start().await;
    let any = any_issuer::AnyIssuer::at(&issuer.url, "ann@example.com", "sandbox-ann").await;
    any.knows_machines().await;
    any.signs_people_in().await;
    any.guards_codes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_database() {
    let issuer = Issuer::start().await;
    let (_, session) = issuer.login("ann@example.com", "sandbox-ann").await;
    let flow = code_flow::Flow::new(&issuer);
    let code = flow.code("ben@example.com", "sandbox-ben").await;
    let (_, tokens) = flow.redeem(&code).await;
    let mut secrets = vec!["sandbox-ann", "sandbox-ben", &code];
    for token in [&session["refresh_token"], &tokens["refresh_token"]] {
        secrets.push(token.as_str().unwrap().split_once('.').unwrap().1);
    }
    for table in ["accounts", "sessions", "authorization_codes", "attempts", "signing_keys"] {
        for row in issuer.db.rows::<String>(format!("select t::text as row from {table} t")).await {
            // bytes are shown in hex
            let found = secrets.iter().find(|text| row.contains(**text) || row.contains(&hex(text)));
            assert_eq!(found, None, "in {table}");
        }
    }
    assert_eq!(issuer.db.count("sessions").await, 2);
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_is_deleted_and_what_is_not_stays() {
    let issuer = Issuer::start_at(-40 * 24 * 3600).await;
    let flow = code_flow::Flow::new(&issuer);
    let code = flow.code("ann@example.com", "sandbox-ann").await;
    assert_eq!(flow.redeem(&code).await.0, 200);
    issuer.login("ann@example.com", "wrong").await;
    issuer.wait(40 * 24 * 3600);
    issuer.login("ben@example.com", "sandbox-ben").await;
    issuer.login("ben@example.com", "wrong").await;
    service_kit::testing::prune_all(&issuer.db.pool, &sandbox_issuer::app::rules()).await;
    let counts = "select (select count(*) from authorization_codes) as codes, (select count(*) from sessions) as sessions, \
                  (select count(*) from attempts where free_at < now() - interval '1 day') as attempts";
    assert_eq!(issuer.db.row::<(i64, i64, i64)>(counts).await, (0, 1, 0));
    assert_eq!(issuer.db.count("accounts").await, 5);
}
