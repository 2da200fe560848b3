//! The control room's page Stuck: what keeps orders, and who may do something about it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chrono::{TimeDelta, Utc};
use common::{Console, between};
use console::control::samples::run_stuck;
use console::sessions::{self, Session};
use console::sign_in::Issuer;
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use service_kit::auth::{AuthConfig, Source};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Orders that wait for the same.
fn group(fact: &str, from: &str, order: Uuid) -> Value {
    json!({"waiting_for": fact, "waiting_from": from, "orders": 1, "oldest_since": Utc::now(), "first": [order]})
}

async fn overdue(console: &Console, groups: &[Value]) {
    console.answers("GET", "/api/v1/overdue-orders", 200, json!({"items": groups})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_quadrille_stuck_finds_is_told_with_the_orders_that_it_keeps() {
    let (console, kept, other) = (Console::start().await, Uuid::now_v7(), Uuid::now_v7());
    let groups = [group("stock.reserved", "stock-svc", kept), group("payment.captured", "payment-svc", other)];
    overdue(&console, &groups).await;
    let ends = "end it: psql -d stock_svc -c 'select pg_terminate_backend(7)'";
    let lock = json!({"kind": "lock", "service": "stock-svc", "what": "stock-svc waits for a lock of backend 7",
        "orders": 1, "first": [kept], "mend": ends});
    console.answers("GET", "/stuck", 200, json!({"causes": [lock], "away": []})).await;
    let stop = CancellationToken::new();
    let asking = tokio::spawn(run_stuck(console.samples.clone(), console.asks.clone(), stop.clone()));
    let (_, page) = console.page("/control/stuck").await;
    let of = |fact: &str| between(&page, &format!("Waiting for {fact} from"), "</section>").to_owned();
    let (stock, payment) = (of("stock.reserved"), of("payment.captured"));
    assert!(stock.contains("of backend 7") && stock.contains("pg_terminate_backend(7)"), "{page}");
    assert!(!payment.contains("backend 7") && !page.contains("Other trouble"), "{page}");
    stop.cancel();
    asking.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_here_is_not_told_as_well() {
    let console = Console::start().await;
    overdue(&console, &[]).await;
    console.answers("GET", "/readyz", 404, json!({"status": 404, "title": "Not Found"})).await;
    let silent = "order-svc, payment-svc, stock-svc, notification-svc tell operators alone how they are";
    let (_, page) = console.page("/control/stuck").await;
    assert!(page.contains(silent) && !page.contains("all is well"), "{page}");
    let (_, page) = console.page("/control/map").await;
    assert!(!page.contains("what the services read, is what they declare"), "{page}");
}

/// Somebody who is signed in with this role, as their browser says it.
async fn cookie(console: &Console, role: &str) -> String {
    let session = Session {
        sub: role.to_owned(),
        name: None,
        email: None,
        roles: vec![role.to_owned()],
        access_token: "t".to_owned(),
        refresh_token: None,
        id_token: None,
        good_until: Utc::now() + TimeDelta::hours(1),
    };
    let cookie = sessions::begin(&console.db.pool, &session).await.unwrap();
    format!("console_session={cookie}")
}

/// Somewhere to sign in, where nobody does.
fn issuer() -> Issuer {
    let issuer = "http://127.0.0.1:9".to_owned();
    let keys = Source::Discovery(issuer.clone());
    let (audience, roles_claim) = ("quadrille".to_owned(), "roles".to_owned());
    let config = AuthConfig::By { issuer, audience, keys, roles_claim };
    Issuer::new(&config, "console".to_owned(), None).unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_is_shown_to_those_who_may_press_it_and_others_are_told_whose_it_is() {
    let (console, order) = (Console::with_issuer(Some(issuer())).await, Uuid::now_v7());
    let groups = [
        group("order.confirmed", "staff", order),
        group("payment.authorized", "customer", order),
        group("stock.reserved", "stock-svc", order),
    ];
    overdue(&console, &groups).await;
    let page = async |role: &str| {
        let cookie = cookie(&console, role).await;
        let at = format!("{}/control/stuck", console.served.root);
        Client::new().get(at).header("cookie", cookie).send().await.unwrap().text().await.unwrap()
    };
    let (staff, operator) = (page("staff").await, page("operator").await);
    for (button, is_staffs) in [("Release it", true), ("Cancel the order", true), ("Its dead letters", false)] {
        assert_eq!((staff.contains(button), operator.contains(button)), (is_staffs, !is_staffs), "{button}");
    }
    assert!(
        operator.contains("Staff release or cancel it.") && operator.contains("Staff may cancel it."),
        "{operator}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_asks_again_by_itself_leads_whoever_is_signed_out_to_sign_in_by_its_page() {
    let console = Console::with_issuer(Some(issuer())).await;
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let at = format!("{}/control/live", console.served.root);
    let answer = client.get(at).header("hx-request", "true").send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers().get("hx-refresh").map(|value| value.as_bytes()), Some(&b"true"[..]));
}
