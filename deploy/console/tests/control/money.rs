//! Parcels and money.

use super::*;

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
    for bad in ["yesterday", "2020-01-01"] {
        assert_eq!(shown(&console, &format!("/control/money/day.csv?day={bad}")).await.0, 422, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_has_not_left_is_called_off() {
    let (console, id) = (Console::start().await, Uuid::now_v7());
    let parcel = json!({"id": id, "order_id": id, "status": "pending", "lines": [{"sku": "TEA", "quantity": 2}]});
    console.answers("GET", "/api/v1/shipments", 200, json!({"items": [parcel]})).await;
    with_empty_services(&console).await;
    let call_off = Mock::given(method("POST")).and(path(format!("/api/v1/shipments/{id}/call-off")));
    call_off.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let (_, page) = shown(&console, "/control/warehouse").await;
    assert!(page.contains("Yes, call it off") || page.contains("Call it off"), "{page}");
    let answer = console.send("/control/warehouse", &format!("/control/warehouse/{id}/call-off"), &[]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/control/warehouse"));
}
