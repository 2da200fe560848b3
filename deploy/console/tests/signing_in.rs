//! Signing in at a real issuer, that of a local run.
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod common;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use common::{Console, between, led_to};
use console::sessions;
use console::sign_in::{Issuer, NotRenewed};
use sandbox_issuer::{App, Config};
use serde_json::json;
use service_kit::auth::{AuthConfig, Source};
use service_kit::config::Reader;
use service_kit::testing::{Running, TestDb, eventually};

/// An issuer, and a console at which people sign in there.
struct SignedUp {
    console: Console,
    issuer: Issuer,
    _issuer: Running<anyhow::Result<()>>,
    db: TestDb,
}

async fn start() -> SignedUp {
    let db = TestDb::new(&sandbox_issuer::migrations()).await;
    let given = [("DATABASE_URL", db.url.as_str()), ("HTTP_ADDR", "127.0.0.1:0")];
    let app = App::build(Reader::from_pairs(given).whole(Config::read).unwrap()).await.unwrap();
    let issuer = app.issuer().to_owned();
    let running = Running::start(|stop| app.run_until(stop));
    let keys = Source::Discovery(issuer.clone());
    let (audience, roles_claim) = ("quadrille".to_owned(), "roles".to_owned());
    let config = AuthConfig::By { issuer, audience, keys, roles_claim };
    let issuer = Issuer::new(&config, "quadrille-console".to_owned(), None).unwrap().unwrap();
    let console = Console::with_issuer(Some(issuer.clone())).await;
    tokio::spawn(issuer.clone().run(console.served.stop.clone()));
    SignedUp { console, issuer, _issuer: running, db }
}

impl SignedUp {
    /// Signs somebody in, and returns where they are led in the end.
    async fn sign_in(&self, to: &str, who: &str) -> String {
        let Console { browser, served, .. } = &self.console;
        let led = self.console.get(&format!("/sign-in?to={to}")).await;
        let at = led_to(&led).to_owned();
        let form = browser.get(&at).await.text().await.unwrap();
        let hidden = form.split(r#"<input type="hidden" "#).skip(1);
        let mut fields: Vec<(String, String)> = hidden
            .map(|field| (between(field, "name=\"", "\"").to_owned(), between(field, "value=\"", "\"").to_owned()))
            .map(|(name, value)| (name, value.replace("&#x2f;", "/").replace("&amp;", "&")))
            .collect();
        fields.push(("email".to_owned(), format!("{who}@example.com")));
        fields.push(("password".to_owned(), format!("sandbox-{who}")));
        let authorize = at.split('?').next().unwrap();
        let answer = browser.post(authorize, &fields).await;
        let back = led_to(&answer).to_owned();
        assert!(back.starts_with(&format!("{}/callback?", served.root)), "{back}");
        let answer = browser.get(&back).await;
        led_to(&answer).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_comes_back_to_where_they_were_and_is_known_until_they_sign_out() {
    let signed_up = start().await;
    let console = &signed_up.console;
    assert_eq!(led_to(&console.get("/control").await), "/sign-in?to=%2Fcontrol");
    eventually("the issuer's keys are known", Duration::from_secs(20), async || {
        signed_up.sign_in("/basket", "sam").await == "/basket"
    })
    .await;
    let (_, page) = console.page("/basket").await;
    assert!(page.contains("Sign out") && page.contains("Control room"), "{page}");
    assert_eq!(console.db.count("sessions").await, 1);
    let answer = console.send("/basket", "/sign-out", &[]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/"));
    assert_eq!(console.db.count("sessions").await, 0);
    let (_, page) = console.page("/basket").await;
    assert!(!page.contains("Sign out"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_what_the_issuer_would_renew_and_no_renewal_under_way_brings_it_back() {
    let signed_up = start().await;
    let console = &signed_up.console;
    eventually("the issuer's keys are known", Duration::from_secs(20), async || {
        signed_up.sign_in("/basket", "sam").await == "/basket"
    })
    .await;
    let cookie = console.browser.cookie("console_session").unwrap();
    let session = sessions::find(&console.db.pool, &cookie).await.unwrap().unwrap();
    assert_eq!(signed_up.db.count("sessions").await, 1);
    console.send("/basket", "/sign-out", &[]).await;
    assert_eq!(signed_up.db.count("sessions").await, 0, "the issuer has ended it");
    assert!(matches!(signed_up.issuer.renewed(&session).await, Err(NotRenewed::Refused(_))));
    // Another request was renewing it.
    assert!(!sessions::renew(&console.db.pool, &cookie, &session).await.unwrap());
    assert!(sessions::find(&console.db.pool, &cookie).await.unwrap().is_none());
    assert_eq!(console.db.count("sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gives_up_signing_in_is_told_so() {
    let signed_up = start().await;
    let console = &signed_up.console;
    let led = console.get("/sign-in?to=/").await;
    let asked: url::Url = led_to(&led).parse().unwrap();
    let state = asked.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let (status, page) = console.page(&format!("/callback?error=access_denied&state={state}")).await;
    assert_eq!(status, 403, "{page}");
    assert!(page.contains("You are not signed in") && !page.contains("Nobody can sign in"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stays_at_work_stays_signed_in_for_as_long_again() {
    let signed_up = start().await;
    let console = &signed_up.console;
    eventually("the issuer's keys are known", Duration::from_secs(20), async || {
        signed_up.sign_in("/basket", "sam").await == "/basket"
    })
    .await;
    let cookie = console.browser.cookie("console_session").unwrap();
    let mut session = sessions::find(&console.db.pool, &cookie).await.unwrap().unwrap();
    session.good_until = chrono::Utc::now();
    assert!(sessions::renew(&console.db.pool, &cookie, &session).await.unwrap());
    let kept = |answer: &reqwest::Response| {
        let set = answer.headers().get_all("set-cookie").iter();
        set.filter_map(|set| set.to_str().ok())
            .any(|set| set.starts_with(&format!("console_session={cookie}; Path=/; Max-Age=43200")))
    };
    let answer = console.get("/basket").await;
    assert!(kept(&answer), "{answer:?}");
    let answer = console.get("/basket").await;
    assert!(!kept(&answer), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_this_browser_did_not_ask_for_signs_nobody_in() {
    let signed_up = start().await;
    let console = &signed_up.console;
    let answer = console.get("/callback?code=stolen&state=made-up").await;
    assert_eq!(answer.status().as_u16(), 400);
    console.get("/sign-in?to=/").await;
    let answer = console.get("/callback?code=stolen&state=made-up").await;
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(console.db.count("sessions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_not_let_into_the_control_room() {
    let signed_up = start().await;
    eventually("the issuer's keys are known", Duration::from_secs(20), async || {
        signed_up.sign_in("/", "ann").await == "/"
    })
    .await;
    assert_eq!(signed_up.console.get("/control").await.status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_while_a_page_is_open_that_is_told_live() {
    let signed_up = start().await;
    let console = &signed_up.console;
    eventually("the issuer's keys are known", Duration::from_secs(20), async || {
        signed_up.sign_in("/", "ann").await == "/"
    })
    .await;
    let cookie = console.browser.cookie("console_session").unwrap();
    let mut session = sessions::find(&console.db.pool, &cookie).await.unwrap().unwrap();
    let first = session.access_token.clone();
    // It is renewed a minute and a half before it ends: in a moment, and not for the visit that opens the stream.
    session.good_until = Utc::now() + TimeDelta::seconds(97);
    assert!(sessions::renew(&console.db.pool, &cookie, &session).await.unwrap());
    let order = uuid::Uuid::now_v7();
    let at = format!("/api/v1/orders/{order}");
    console.answers("GET", &at, 200, an_order(order, &session.sub)).await;
    let stream = console.get(&format!("/orders/{order}/live")).await;
    assert_eq!(stream.status(), 200);
    let read = tokio::spawn(stream.bytes());
    let tokens = async || {
        let asked = console.services.received_requests().await.unwrap();
        let of_order = asked.into_iter().filter(|request| request.url.path() == at);
        let token = |it: wiremock::Request| it.headers["authorization"].to_str().unwrap().to_owned();
        of_order.map(token).collect::<Vec<_>>()
    };
    assert_eq!(tokens().await[0], format!("Bearer {first}"));
    eventually("it asks with a new token", Duration::from_secs(30), async || {
        console.changes.tell([order]);
        tokens().await.last() != Some(&format!("Bearer {first}"))
    })
    .await;
    let renewed = sessions::find(&console.db.pool, &cookie).await.unwrap().unwrap();
    assert!(renewed.access_token != first && renewed.good_until > session.good_until);
    assert_eq!(tokens().await.last(), Some(&format!("Bearer {}", renewed.access_token)));
    assert!(!read.is_finished(), "whoever reads goes on");
    read.abort();
}

/// An order that goes on.
fn an_order(id: uuid::Uuid, customer: &str) -> serde_json::Value {
    let price = json!({"amount": 1299, "currency": "EUR"});
    json!({
        "id": id, "status": "pending", "reason": null, "failure": null,
        "customer": {"id": customer, "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address": {"line1": "1 Quay St", "city": "Cork", "postal_code": "T12", "country": "IE"},
        "requested_address": null, "currency": "EUR",
        "lines": [{"sku": "TEA", "name": "Earl Grey", "quantity": 1, "unit_price": price, "line_total": price, "called_off": 0}],
        "total": price, "stock": null, "payment": null, "shipments": [], "waiting_for": null, "version": 1,
        "placed_at": "2026-07-14T09:30:00Z", "links": {}
    })
}
