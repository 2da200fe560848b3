//! Every room: who may enter, what it shows though nobody answers, and hostile text.

use console::sessions::{self, Session};
use reqwest::{Client, redirect};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_wrote_into_an_event_is_text_on_every_page() {
    let (console, mut told) = (Console::start().await, Told::new());
    with_empty_services(&console).await;
    let body = json!({"number": EVIL, "customer": {"id": EVIL, "name": EVIL, "email": EVIL}, "lines": [{"sku": EVIL}],
        "total": {"amount": 1, "currency": EVIL}});
    for (_, record) in [
        told.event("/order-svc", "order.placed.v1", None, body),
        told.event(&format!("/{EVIL}"), &format!("stock.{EVIL}.v1"), None, json!({"x": EVIL})),
        told.event("/order-svc", "order.cancelled.v1", None, json!({"reason": EVIL})),
    ] {
        console.hear(&record).await;
    }
    let known = json!({"status": EVIL, "lines": [{"name": EVIL, "sku": EVIL, "quantity": 1}], "delivery_address": {"line1": EVIL}});
    console.answers("GET", &format!("/api/v1/orders/{}", told.order), 200, known).await;
    let order = format!("/control/orders/{}", told.order);
    for at in [order.as_str(), "/control/orders", "/control/topics", "/control/map", "/control"] {
        let (status, page) = shown(&console, at).await;
        assert_eq!(status, 200, "{at}: {page}");
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{at}: {page}");
        assert!(page.contains("&lt;script&gt;"), "{at} shows it as text: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_leaves_its_part_and_the_rest_stands() {
    let (console, mut told) = (Console::start().await, Told::new());
    console.hear(&told.placed("Q-2026-000123", "TEA").1).await;
    console.answers("GET", "/api/v1/shipments", 503, json!({"detail": "The database is away."})).await;
    console.answers("GET", "/api/v1/reservations", 503, json!({"detail": "The database is away."})).await;
    console
        .answers("GET", &format!("/api/v1/orders/{}", told.order), 200, json!({"status": "pending", "lines": []}))
        .await;
    with_empty_services(&console).await;
    let (status, page) = shown(&console, &format!("/control/orders/{}", told.order)).await;
    assert_eq!(status, 200);
    assert!(page.contains("stock-svc does not answer just now.") && page.contains("order.placed.v1"), "{page}");
    assert!(!page.contains("order-svc does not answer"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_room_is_shown_though_no_service_answers() {
    let console = Console::start().await;
    for room in [
        "",
        "/live",
        "/stuck",
        "/orders",
        "/dead-letters",
        "/topics",
        "/topics/rows",
        "/topics?live=1",
        "/map",
        "/holds",
        "/warehouse",
        "/money",
        "/actions",
        "/dead-letters?key=k",
    ] {
        let (status, page) = shown(&console, &format!("/control{room}")).await;
        assert_eq!(status, 200, "{room}: {page}");
    }
    for nothing in ["/orders/7", "/money/7", "/dead-letters/nobody-svc/7", "/dead-letters/stock-svc/x"] {
        assert_eq!(shown(&console, &format!("/control{nothing}")).await.0, 404, "{nothing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_room_is_for_staff_and_operators_alone() {
    let console = Console::with_issuer(Some(issuer())).await;
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let cookie = async |role: &str| {
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
        format!("console_session={}", sessions::begin(&console.db.pool, &session).await.unwrap())
    };
    let (customer, staff, operator) = (cookie("customer").await, cookie("staff").await, cookie("operator").await);
    let some = Uuid::now_v7();
    let rooms = [
        "",
        "/live",
        "/stuck",
        "/orders",
        "/topics",
        "/topics/rows",
        "/map",
        "/holds",
        "/holds/live",
        "/holds/parts",
        "/warehouse",
        "/money",
        "/actions",
        "/dead-letters",
        "/money/day.csv?day=2026-11-30",
        "/money/reconciliation?day=2026-11-30",
        "/money/reconciliation.csv?day=2026-11-30",
    ]
    .map(str::to_owned);
    let more = [format!("/orders/{some}"), format!("/money/{some}"), "/dead-letters/stock-svc/7".to_owned()];
    for room in rooms.into_iter().chain(more) {
        let at = format!("{}/control{room}", console.served.root);
        let ask = async |cookie: &str| client.get(&at).header("cookie", cookie).send().await.unwrap();
        assert_eq!(ask(&customer).await.status(), 403, "{room}");
        let nobody = ask("").await;
        assert!(led_to(&nobody).starts_with("/sign-in?to="), "{room}");
        for worker in [&staff, &operator] {
            let status = ask(worker).await.status();
            assert!(status != 403 && status != 303, "{room}: {status}");
        }
    }
    for button in [
        format!("/orders/{some}/cancel"),
        format!("/warehouse/{some}/lost"),
        format!("/money/{some}/refund"),
        "/dead-letters/stock-svc/7/discard".to_owned(),
        "/holds/whole".to_owned(),
        "/holds/faults".to_owned(),
        "/holds/well".to_owned(),
        "/holds/parts/payment-svc/kill".to_owned(),
        "/dead-letters/stock-svc/jobs".to_owned(),
    ] {
        let at = format!("{}/control{button}", console.served.root);
        let answer = client.post(&at).header("cookie", &customer).form(&[("reason", "x")]).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{button}");
    }
}
