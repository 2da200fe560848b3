//! The control room, as a browser without JavaScript sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{Console, issuer, led_to};
use reqwest::{Client, redirect};
use serde_json::{Value, json};
use service_kit::consumer::Record;
use uuid::Uuid;
use wiremock::matchers::{body_json, header_exists, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

const EVIL: &str = r#"<script>alert("x")</script><img src=x onerror=alert(1)>"#;

/// An order that was placed half an hour ago, and what is told of it.
struct Told {
    order: Uuid,
    began: DateTime<Utc>,
    sequence: i64,
}

impl Told {
    fn new() -> Self {
        Self { order: Uuid::now_v7(), began: Utc::now() - TimeDelta::minutes(30), sequence: 0 }
    }

    /// An event of the order, a second after the one before it; its id.
    fn event(&mut self, source: &str, event_type: &str, cause: Option<Uuid>, body: Value) -> (Uuid, Record) {
        let topic = match event_type.split('.').next().unwrap() {
            "order" => "orders.v1",
            "stock" => "stock.v1",
            "payment" => "payments.v1",
            "shipment" => "shipments.v1",
            _ => "notifications.v1",
        };
        self.sequence += 1;
        let time = self.began + TimeDelta::seconds(self.sequence);
        let id = Uuid::now_v7();
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_id".to_owned(), id.to_string()),
            ("ce_source".to_owned(), source.to_owned()),
            ("ce_type".to_owned(), event_type.to_owned()),
            ("ce_time".to_owned(), time.to_rfc3339()),
            ("ce_subject".to_owned(), self.order.to_string()),
            ("ce_sequence".to_owned(), format!("{:020}", self.sequence)),
            ("ce_correlationid".to_owned(), self.order.to_string()),
            ("ce_traceparent".to_owned(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        headers.extend(cause.map(|cause| ("ce_causationid".to_owned(), cause.to_string())));
        (id, Record::sent(topic, self.order.to_string(), headers, body.to_string()))
    }

    fn placed(&mut self, number: &str, sku: &str) -> (Uuid, Record) {
        let body = json!({
            "order_id": self.order, "number": number, "customer": {"id": "c-1001", "name": "Ann", "email": "Ann@Example.com"},
            "lines": [{"sku": sku, "quantity": 2}], "total": {"amount": 2598, "currency": "EUR"}, "deadline": self.began
        });
        self.event("/order-svc", "order.placed.v1", None, body)
    }
}

/// A page, with its status. Slashes are escaped on it, which nobody has to know.
async fn shown(console: &Console, at: &str) -> (u16, String) {
    let (status, page) = console.page(at).await;
    (status, page.replace("&#x2f;", "/"))
}

/// The services say nothing of orders but that there is none.
async fn with_empty_services(console: &Console) {
    for list in ["payments", "shipments", "reservations", "notifications", "overdue-orders", "products", "actions"] {
        console.answers("GET", &format!("/api/v1/{list}"), 200, json!({"items": [], "next_cursor": null})).await;
    }
    for list in ["dead-letters", "dead-letters/groups", "dead-letters/jobs"] {
        console.answers("GET", &format!("/api/v1/{list}"), 200, json!({"items": [], "next_cursor": null})).await;
    }
    console.answers("GET", "/readyz", 200, json!({"status": "ready", "checks": {"database": "ok"}})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_page_shows_its_events_as_lanes_with_arrows_and_what_each_service_knows_of_it() {
    let (console, mut told) = (Console::start().await, Told::new());
    let (placed, record) = told.placed("Q-2026-000123", "TEA");
    console.hear(&record).await;
    let (reserved, record) = told.event("/stock-svc", "stock.reserved.v1", Some(placed), json!({}));
    console.hear(&record).await;
    let order = told.order;
    let known = json!({"id": order, "number": "Q-2026-000123", "status": "pending", "version": 2, "lines": [],
        "waiting_for": {"fact": "payment.authorized", "from": "payment-svc", "since": told.began},
        "links": {"cancel": "there"}});
    console.answers("GET", &format!("/api/v1/orders/{order}"), 200, known).await;
    let payment = json!({"id": order, "order_id": order, "status": "authorized", "attempts": 2,
        "amount": {"amount": 2598, "currency": "EUR"}, "gateway": {"payment_intent": "pi_3Q0"}, "refunds": [], "ledger": []});
    console.answers("GET", "/api/v1/payments", 200, json!({"items": [payment.clone()]})).await;
    console.answers("GET", &format!("/api/v1/payments/{order}"), 200, payment).await;
    with_empty_services(&console).await;
    let (status, page) = shown(&console, &format!("/control/orders/{order}")).await;
    assert_eq!(status, 200, "{page}");
    let arrow = format!(r#"data-cause="{placed}" data-effect="{reserved}""#);
    for shown in [
        &arrow,
        "Order Q-2026-000123",
        "payment.authorized from payment-svc",
        "pi_3Q0",
        "4bf92f3577b34da6a3ce929d0e0e4736",
    ] {
        assert!(page.contains(shown), "{shown} is missing: {page}");
    }
    assert!(
        page.contains(&format!(r#"id="event-{reserved}""#)) && page.contains(&format!(r##"href="#event-{placed}""##)),
        "{page}"
    );
    assert!(page.contains(&format!("/control/orders/{order}/cancel")), "the button that cancels");
    assert!(!page.contains(" style=") && !page.contains("<script>"), "the policy allows neither");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_whatever_somebody_has_of_it() {
    let (console, mut told, mut other) = (Console::start().await, Told::new(), Told::new());
    let shipment = Uuid::now_v7();
    let dispatched = json!({"shipment_id": shipment, "carrier": "An Post", "tracking_number": "CE123456789IE"});
    let required = json!({"payment_id": "01980a10-7c00-7000-8000-0000000000b1", "url": "https://bank.example/?payment_intent=pi_3Q0x"});
    for (_, record) in [
        told.placed("Q-2026-000123", "TEA-1"),
        told.event("/stock-svc", "shipment.dispatched.v1", None, dispatched),
        told.event("/payment-svc", "payment.action_required.v1", None, required),
    ] {
        console.hear(&record).await;
    }
    let body = json!({"number": "Q-2026-000124", "customer": {"id": "c-2", "email": "ben@example.com"}, "lines": [{"sku": "TEA-2"}]});
    let (_, record) = other.event("/order-svc", "order.placed.v1", None, body);
    console.hear(&record).await;
    let is_there = async |q: &str| {
        let (status, page) = shown(&console, &format!("/control/orders?q={q}")).await;
        assert_eq!(status, 200, "{page}");
        (page.contains(&told.order.to_string()), page.contains(&other.order.to_string()))
    };
    let words = ["c-1001", "ann@example.com", "ANN@example.COM", "TEA-1", "CE123456789IE", "ce123456789ie", "pi_3Q0x"];
    for word in words.into_iter().chain([shipment.to_string().as_str(), "01980a10-7c00-7000-8000-0000000000b1"]) {
        assert_eq!(is_there(word).await, (true, false), "{word}");
    }
    for word in ["nobody", "TEA", "%25", "c-100", "Q-2026-000999"] {
        assert_eq!(is_there(word).await, (false, false), "{word}");
    }
    for exact in ["q-2026-000123", &told.order.to_string()] {
        let answer = console.get(&format!("/control/orders?q={exact}")).await;
        assert_eq!(led_to(&answer), format!("/control/orders/{}", told.order), "{exact} names this order alone");
    }
    let of_state = async |state: &str| shown(&console, &format!("/control/orders?state={state}")).await.1;
    assert!(of_state("shipped").await.contains(&told.order.to_string()));
    assert!(!of_state("pending").await.contains(&told.order.to_string()));
    assert!(of_state("pending").await.contains(&other.order.to_string()));
    assert!(!of_state("cancelled").await.contains("/control/orders/0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_go_on_where_they_ended() {
    let console = Console::start().await;
    let mut ids = Vec::new();
    for _ in 0..52 {
        let mut told = Told::new();
        console.hear(&told.placed("", "TEA").1).await;
        ids.push(told.order.to_string());
    }
    let (_, first) = shown(&console, "/control/orders?q=TEA").await;
    let next = common::between(&first, r#"href="/control/orders?q=TEA&amp;before="#, "\"");
    let (_, second) = shown(&console, &format!("/control/orders?q=TEA&before={next}")).await;
    let on = |page: &str| ids.iter().filter(|id| page.contains(*id)).count();
    assert_eq!((on(&first), on(&second)), (50, 2), "{first}");
}

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
        "/holds/live",
        "/holds/parts",
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
async fn staff_hold_an_order_and_read_what_others_wrote_about_it() {
    let (console, order) = (Console::start().await, Uuid::now_v7());
    let known = json!({"id": order, "status": "pending", "lines": [], "staff": {"hold": {"reason": EVIL, "since": Utc::now()}}});
    console.answers("GET", &format!("/api/v1/orders/{order}"), 200, known).await;
    let note = json!({"text": "Called Ann.", "author": "sam", "written_at": Utc::now()});
    console.answers("GET", &format!("/api/v1/orders/{order}/notes"), 200, json!({"items": [note]})).await;
    let at = format!("/control/orders/{order}");
    let (_, page) = shown(&console, &at).await;
    assert!(page.contains("Called Ann.") && page.contains("Release it") && !page.contains("<script>alert"), "{page}");
    let hold = Mock::given(method("POST")).and(path(format!("/api/v1/orders/{order}/hold")));
    let hold = hold.and(body_json(json!({"reason": "ten of the same"})));
    hold.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    assert_eq!(led_to(&console.send(&at, &format!("{at}/hold"), &[("reason", "ten of the same")]).await), at);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stuck_comes_with_what_keeps_it_and_the_button_that_mends_it() {
    let (console, order) = (Console::start().await, Uuid::now_v7());
    let group = |fact: &str| json!({"waiting_for": fact, "waiting_from": "stock-svc", "orders": 1, "oldest_since": Utc::now(), "first": [order]});
    console
        .answers(
            "GET",
            "/api/v1/overdue-orders",
            200,
            json!({"items": [group("stock.reserved"), group("shipment.dispatched")]}),
        )
        .await;
    console.answers("GET", "/readyz", 200, json!({"status": "ready", "checks": {}})).await;
    let metrics = ResponseTemplate::new(200).set_body_string("consumer_dead_letters 2\nconsumer_parked_keys 1\n");
    Mock::given(method("GET")).and(path("/metrics")).respond_with(metrics).mount(&console.services).await;
    let (_, page) = shown(&console, "/control/stuck").await;
    let (letters, parcels) = ("/control/dead-letters?service=stock-svc", format!("/control/warehouse?order={order}"));
    assert!(page.contains(letters) && page.contains(&parcels), "{page}");
    assert!(page.contains("2 wait in 1 key") && page.contains("quadrille dead-letters list stock-svc"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_found_by_key_type_topic_and_text() {
    let (console, mut told, mut other) = (Console::start().await, Told::new(), Told::new());
    let (placed, record) = told.placed("Q-2026-000123", "TEA");
    console.hear(&record).await;
    let (expired, record) = other.event("/stock-svc", "stock.expired.v1", None, json!({"note": "100%_off"}));
    console.hear(&record).await;
    let found = async |query: &str| {
        let (status, page) = shown(&console, &format!("/control/topics?{query}")).await;
        assert_eq!(status, 200, "{page}");
        (page.contains(&format!("event-{placed}")), page.contains(&format!("event-{expired}")))
    };
    assert_eq!(found("").await, (true, true));
    assert_eq!(found(&format!("key={}", told.order)).await, (true, false));
    assert_eq!(found("type=stock.expired.v1").await, (false, true));
    assert_eq!(found("topic=orders.v1").await, (true, false));
    for text in ["Q-2026-000123", "ce_subject\", \"", "2598"] {
        assert!(found(&format!("text={}", text.replace('"', "%22"))).await.0, "{text}");
    }
    assert_eq!(found("text=100%25_off").await, (false, true), "signs of a pattern are text");
    assert_eq!(found("text=1__%25").await, (false, false), "signs of a pattern are text");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_is_red_where_somebody_speaks_who_should_not() {
    let (console, mut told) = (Console::start().await, Told::new());
    console.hear(&told.placed("Q-2026-000123", "TEA").1).await;
    let (_, well) = shown(&console, "/control/map").await;
    assert!(!well.contains("line-bad") && well.contains("line-good"), "{well}");
    console.hear(&told.event("/payment-svc", "order.eaten.v1", None, json!({})).1).await;
    let (_, page) = shown(&console, "/control/map").await;
    assert!(
        page.contains("line-bad") && page.contains("payment-svc was heard on orders.v1, which is not its own"),
        "{page}"
    );
    assert!(page.contains("order.eaten.v1 was heard on orders.v1, and nobody declares it"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_is_handed_over_and_money_goes_back_once() {
    let (console, id) = (Console::start().await, Uuid::now_v7());
    let parcel = json!({"id": id, "order_id": id, "status": "pending", "lines": [{"sku": "TEA", "quantity": 2}]});
    console.answers("GET", "/api/v1/shipments", 200, json!({"items": [parcel]})).await;
    with_empty_services(&console).await;
    let dispatch = Mock::given(method("POST")).and(path(format!("/api/v1/shipments/{id}/dispatch")));
    let dispatch = dispatch.and(body_json(json!({"carrier": "An Post", "tracking_number": "CE1"})));
    dispatch.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let handed_over = [("carrier", "An Post"), ("tracking_number", "CE1")];
    let answer = console.send("/control/warehouse", &format!("/control/warehouse/{id}/dispatch"), &handed_over).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/control/warehouse"));
    let refund = Mock::given(method("POST"))
        .and(path(format!("/api/v1/payments/{id}/refunds")))
        .and(header_exists("idempotency-key"));
    let refund = refund.and(body_json(json!({"amount": {"amount": 550, "currency": "EUR"}, "reason": "dented"})));
    refund.respond_with(ResponseTemplate::new(202).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let asked = [("amount", "5.50"), ("currency", "EUR"), ("reason", "dented")];
    let answer = console.send("/control/warehouse", &format!("/control/money/{id}/refund"), &asked).await;
    assert_eq!(led_to(&answer), format!("/control/money/{id}"));
    let answer = console
        .send(
            "/control/warehouse",
            &format!("/control/money/{id}/refund"),
            &[("amount", "x"), ("currency", "EUR"), ("reason", "y")],
        )
        .await;
    assert_eq!(answer.status(), 422);
    let unproven = console.browser.post(&format!("{}/control/money/{id}/refund", console.served.root), &asked).await;
    assert_eq!(unproven.status(), 403, "a form from elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_money_is_a_table() {
    let (console, mut told) = (Console::start().await, Told::new());
    let captured = json!({"payment_id": "p", "amount": {"amount": 2598, "currency": "EUR"}});
    let (event, record) = told.event("/payment-svc", "payment.captured.v1", None, captured);
    console.hear(&record).await;
    console.hear(&told.event("/payment-svc", "payment.authorized.v1", None, json!({})).1).await;
    let day = (told.began + TimeDelta::seconds(1)).date_naive();
    let answer = console.get(&format!("/control/money/day.csv?day={day}")).await;
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let rows = answer.text().await.unwrap();
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let row = format!("{},payment.captured.v1,25.98,EUR,p,,,{event}", told.order);
    assert!(rows[1].ends_with(&row), "{rows:?}");
    assert_eq!(shown(&console, "/control/money/day.csv?day=yesterday").await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_tried_dry_changed_and_replayed_as_a_job() {
    let (console, job) = (Console::start().await, Uuid::now_v7());
    let letter = json!({"id": 7, "topic": "orders.v1", "partition": 0, "offset": 1, "key": EVIL, "error": EVIL, "attempts": 1,
        "headers": [{"name": "ce_type", "value": "order.placed.v1"}], "payload": {"format": "json", "value": {"a": 1}},
        "ahead": 0, "behind": {"count": 0, "first": []}});
    console.answers("GET", "/api/v1/dead-letters/7", 200, letter).await;
    console.answers("GET", "/api/v1/dead-letters/7/versions", 200, json!({"items": []})).await;
    let at = "/control/dead-letters/stock-svc/7";
    let (_, page) = shown(&console, at).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    let tried = json!({"outcome": "applied", "rows": [{"table": "orders", "inserted": 1, "updated": 0, "deleted": 0}],
        "events": [{"event_type": "stock.reserved.v1", "topic": "stock.v1", "payload": {"value": {"b": EVIL}}, "headers": []}]});
    let dry = Mock::given(method("POST"))
        .and(path("/api/v1/dead-letters/7/dry-run"))
        .and(body_json(json!({"payload": {"a": 2}})));
    dry.respond_with(ResponseTemplate::new(200).set_body_json(tried)).expect(1).mount(&console.services).await;
    let changed = [("payload", r#"{"a": 2}"#), ("header-ce_type", "order.placed.v1")];
    let answer = console.send(at, &format!("{at}/dry-run"), &changed).await.text().await.unwrap();
    assert!(answer.contains("stock.reserved.v1") && answer.contains("1 inserted"), "{answer}");
    assert!(!answer.contains("<script>alert"), "{answer}");
    let edit = Mock::given(method("POST")).and(path("/api/v1/dead-letters/7/edit"));
    let edit = edit.and(body_json(json!({"payload": {"a": 2}, "reason": "mended"})));
    edit.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let answer = console.send(at, &format!("{at}/edit"), &[changed[0], changed[1], ("reason", "mended")]).await;
    assert_eq!(led_to(&answer), at);
    let begin = Mock::given(method("POST")).and(path("/api/v1/dead-letters/jobs"));
    let begin = begin.and(body_json(json!({"action": "replay", "ids": [7], "reason": "mended"})));
    begin
        .respond_with(ResponseTemplate::new(202).set_body_json(json!({"id": job})))
        .expect(1)
        .mount(&console.services)
        .await;
    let answer = console.send(at, &format!("{at}/replay"), &[("reason", "mended")]).await;
    let job_at = format!("/control/dead-letters/stock-svc/jobs/{job}");
    assert_eq!(led_to(&answer), job_at);
    let going_on =
        json!({"id": job, "action": "replay", "state": "running", "total": 200, "done": 41, "left": 159, "failed": 0});
    console.answers("GET", &format!("/api/v1/dead-letters/jobs/{job}"), 200, going_on).await;
    let (_, page) = shown(&console, &job_at).await;
    assert!(page.contains("41 of 200 are done") && page.contains("Pause"), "{page}");
    console.answers("POST", &format!("/api/v1/dead-letters/jobs/{job}/pause"), 200, json!({})).await;
    assert_eq!(led_to(&console.send(&job_at, &format!("{job_at}/pause"), &[]).await), job_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_of_every_service_are_one_list() {
    let console = Console::start().await;
    let action = json!({"id": Uuid::now_v7(), "at": Utc::now(), "sub": "sam", "role": "staff", "method": "POST",
        "path": "/api/v1/products", "status": 201});
    let of_sam = Mock::given(method("GET")).and(path("/api/v1/actions")).and(query_param("sub", "sam"));
    let answer = ResponseTemplate::new(200).set_body_json(json!({"items": [action], "next_cursor": null}));
    of_sam.respond_with(answer).mount(&console.services).await;
    let (_, page) = shown(&console, "/control/actions?sub=sam").await;
    assert_eq!(page.matches("<td><code>POST").count(), 4, "once for each service: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_room_is_for_staff_and_operators_alone() {
    let console = Console::with_issuer(Some(issuer())).await;
    let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let cookie = async |role: &str| format!("console_session={}", console.session(role).await);
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
        "/warehouse",
        "/money",
        "/actions",
        "/dead-letters",
        "/money/day.csv?day=2026-11-30",
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
