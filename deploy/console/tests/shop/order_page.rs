//! The page of one order.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_with_a_guest_s_token_is_moved_into_a_cookie_at_once() {
    let console = shop().await;
    shows_the_order(&console, json!({})).await;
    let (status, page) = console.page(&format!("/orders/{ORDER}")).await;
    assert!(status == 401 && page.contains("Whose order is this?") && !page.contains("Ann Lee"), "{page}");
    // The second is what mails link to.
    for link in [format!("/orders/{ORDER}?token={TOKEN}"), format!("/api/v1/orders/{ORDER}?token={TOKEN}")] {
        let answer = console.get(&link).await;
        assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, format!("/orders/{ORDER}").as_str()));
        let kept = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(kept.starts_with(&format!("console_guest={TOKEN}; Path=/orders/{ORDER};")), "{kept}");
    }
    let (status, page) = console.page(&format!("/orders/{ORDER}")).await;
    assert!(status == 200 && page.contains("Ann Lee"), "{page}");
    let answer = console.get(&format!("/orders/{ORDER}?token=x%3B%20Path%3D%2F")).await;
    assert!(!answer.headers().contains_key("set-cookie"), "{answer:?}");
    // Neither does one that opens nothing take the place of one that does.
    let answer = console.get(&format!("/orders/{ORDER}?token=guest.anything")).await;
    assert_eq!((answer.status().as_u16(), answer.headers().contains_key("set-cookie")), (303, false), "{answer:?}");
    let (status, page) = console.page(&format!("/orders/{ORDER}")).await;
    assert!(status == 200 && page.contains("Ann Lee"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_on_an_order_s_page_are_text() {
    let console = Console::start().await;
    let lines = json!([{"sku": "TEA", "name": EVIL, "quantity": 1, "unit_price": {"amount": 1, "currency": "EUR"}}]);
    let parcels = json!([{"status": "dispatched", "carrier": EVIL, "tracking_number": EVIL}]);
    let customer = json!({"id": "c-1", "name": EVIL, "email": EVIL});
    let address = json!({"line1": EVIL, "line2": EVIL, "city": EVIL, "postal_code": EVIL, "country": EVIL});
    let hostile = order(json!({
        "number": EVIL, "lines": lines, "shipments": parcels, "customer": customer, "delivery_address": address,
        "requested_address": address, "status": "shipped"
    }));
    console.answers("GET", &order_path(), 200, hostile).await;
    let (status, page) = console.page(&format!("/orders/{ORDER}")).await;
    assert_eq!(status, 200, "{page}");
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.matches("&lt;script&gt;alert").count() >= 10, "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bank_that_asks_its_customer_is_a_link_and_nothing_else_is() {
    for (url, is_link) in [("https://bank.example/3ds", true), ("javascript:alert(1)", false)] {
        let console = Console::start().await;
        let waiting = json!({"stock": "reserved", "payment": "action_required"});
        console.answers("GET", &order_path(), 200, order(waiting)).await;
        let action =
            json!({"type": "redirect_to_url", "redirect_to_url": {"url": url}, "deadline": "2026-07-14T09:44:00Z"});
        let payments = json!({"items": [{"status": "action_required", "next_action": action}], "next_cursor": null});
        console.answers("GET", "/api/v1/payments", 200, payments).await;
        let (_, page) = console.page(&format!("/orders/{ORDER}")).await;
        assert!(
            page.contains("Your bank wants to know that it is you") && page.contains("14 Jul 2026, 09:44:00 UTC"),
            "{page}"
        );
        assert_eq!(
            page.contains("Open my bank&#x27;s page") || page.contains("Open my bank's page"),
            is_link,
            "{page}"
        );
        assert!(!page.contains("javascript:"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_cancelled_by_a_form_that_asks_first() {
    let console = Console::start().await;
    console.answers("GET", &order_path(), 200, order(json!({}))).await;
    console.answers("POST", &format!("{}/cancel", order_path()), 202, order(json!({"status": "cancelling"}))).await;
    let at = format!("/orders/{ORDER}");
    let (_, page) = console.page(&at).await;
    let asked = between(&page, "Cancel this order</summary>", "</details>");
    assert!(asked.contains("be undone") && asked.contains("Yes, cancel it"), "{page}");
    let answer = console.send(&at, &format!("{at}/cancel"), &[]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, at.as_str()));
    let asked = console.services.received_requests().await.unwrap();
    assert!(asked.iter().any(|request| request.url.path().ends_with("/cancel")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_refused_stays_in_the_form_and_one_that_comes_too_late_is_told_so() {
    let console = Console::start().await;
    let links = json!({"delivery_address": "x"});
    console.answers("GET", &order_path(), 200, order(json!({"links": links}))).await;
    let errors = json!([{"field": "city", "message": "is missing", "code": "missing"}]);
    let put = format!("{}/delivery-address", order_path());
    console.answers("PUT", &put, 422, json!({"code": "missing", "errors": errors})).await;
    let at = format!("/orders/{ORDER}/address");
    let answer = console.send(&at, &at, &[("line1", EVIL), ("country", "IE")]).await;
    assert_eq!(answer.status().as_u16(), 422);
    let page = answer.text().await.unwrap();
    assert_eq!(between(&page, r#"id="w-city">"#, "</p>"), "Please fill this in.");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_dispatched_is_called_off_by_whose_order_it_is_and_no_guest() {
    let console = Console::with_issuer(Some(issuer())).await;
    let links = json!({"call_off": format!("/api/v1/orders/{ORDER}/call-off")});
    let partly = json!({"status": "partially_shipped", "customer": {"id": "c-1001", "name": "Ann"}, "links": links});
    console.answers("GET", &order_path(), 200, order(partly)).await;
    let call_off = Mock::given(method("POST")).and(path(format!("{}/call-off", order_path())));
    let call_off = call_off.and(header("authorization", "Bearer token of c-1001"));
    call_off.respond_with(ResponseTemplate::new(202).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let at = format!("/orders/{ORDER}");
    assert!(led_to(&console.get(&format!("{at}?token={TOKEN}")).await).ends_with(&at));
    let (_, page) = console.page(&at).await;
    assert!(page.contains("Earl Grey") && !page.contains("Yes, call it off"), "{page}");
    console.sign_in_as("c-1001", "customer").await;
    let (_, page) = console.page(&at).await;
    assert!(page.contains("Yes, call it off"), "{page}");
    let answer = console.send(&at, &format!("{at}/call-off"), &[]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, at.as_str()));
    let unproven = console.browser.post::<&str, &str>(&format!("{}{at}/call-off", console.served.root), &[]).await;
    assert_eq!(unproven.status(), 403, "a form from elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_meanwhile_is_not_called_off_and_the_page_says_so() {
    let console = Console::start().await;
    let links = json!({"call_off": format!("/api/v1/orders/{ORDER}/call-off")});
    console.answers("GET", &order_path(), 200, order(json!({"status": "partially_shipped", "links": links}))).await;
    console.answers("POST", &format!("{}/call-off", order_path()), 409, json!({"detail": "It has left."})).await;
    let at = format!("/orders/{ORDER}");
    let answer = console.send(&at, &format!("{at}/call-off"), &[]).await;
    assert_eq!(answer.status(), 409);
    assert!(answer.text().await.unwrap().contains("It is too late for that"));
}
