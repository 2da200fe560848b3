//! Orders: found, and one by itself.

use super::*;

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
        r#"href="http://traces.example/trace/4bf92f3577b34da6a3ce929d0e0e4736""#,
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
async fn an_order_is_found_by_the_gateways_intent_which_payment_svc_knows() {
    let (console, order) = (Console::start().await, Uuid::now_v7());
    let asked = Mock::given(method("GET")).and(path("/api/v1/payments")).and(query_param("gateway_intent", "pi_3Q0aB"));
    let payment = json!({"items": [{"order_id": order}], "next_cursor": null});
    asked.respond_with(ResponseTemplate::new(200).set_body_json(payment)).mount(&console.services).await;
    let answer = console.get("/control/orders?q=pi_3Q0aB").await;
    assert_eq!(led_to(&answer), format!("/control/orders/{order}"));
    console.answers("GET", "/api/v1/payments", 200, json!({"items": [], "next_cursor": null})).await;
    assert_eq!(shown(&console, "/control/orders?q=pi_other").await.0, 200, "nobody knows it");
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
async fn staff_call_off_what_was_not_dispatched() {
    let (console, order) = (Console::start().await, Uuid::now_v7());
    let links = json!({"call_off": format!("/api/v1/orders/{order}/call-off")});
    let known = json!({"id": order, "status": "partially_shipped", "lines": [], "links": links});
    console.answers("GET", &format!("/api/v1/orders/{order}"), 200, known).await;
    let call_off = Mock::given(method("POST")).and(path(format!("/api/v1/orders/{order}/call-off")));
    let call_off = call_off.and(body_json(json!({})));
    call_off.respond_with(ResponseTemplate::new(202).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let at = format!("/control/orders/{order}");
    let (_, page) = shown(&console, &at).await;
    assert!(page.contains("Call off the rest"), "{page}");
    assert_eq!(led_to(&console.send(&at, &format!("{at}/call-off"), &[]).await), at);
}
