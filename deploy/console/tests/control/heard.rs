//! What was heard, what is stuck, and who did what.

use super::*;

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
