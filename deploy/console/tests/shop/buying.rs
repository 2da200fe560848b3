//! From the catalogue to an order.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_buys_by_plain_forms_and_is_led_to_their_order() {
    let console = shop().await;
    console.answers("POST", "/api/v1/orders", 202, order(json!({}))).await;
    shows_the_order(&console, json!({})).await;
    let (_, page) = console.page("/").await;
    assert!(page.contains("Earl Grey") && page.contains("€12.99") && page.contains("only 3 left"), "{page}");
    assert!(page.contains("/?cursor=TEA") || page.contains("&#x2f;?cursor=TEA"), "{page}");

    let made_with = to_the_checkout(&console).await;
    assert_eq!(
        made_with[1..],
        [("lines", "TEA*2"), ("amount", "2598"), ("currency", "EUR")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let answer = order_as(&console, &made_with, "Ann Lee").await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, format!("/orders/{ORDER}").as_str()));
    let kept: Vec<_> =
        answer.headers().get_all("set-cookie").iter().map(|set| set.to_str().unwrap().to_owned()).collect();
    let guest = kept.iter().find(|set| set.starts_with("console_guest=")).unwrap();
    assert!(guest.contains(&format!("={TOKEN}; Path=/orders/{ORDER};")) && guest.contains("HttpOnly"), "{guest}");
    assert_eq!(console.browser.cookie("console_basket").as_deref(), Some(""), "the basket is empty");

    let (status, page) = console.page(&format!("/orders/{ORDER}")).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("We have your order") && page.contains("Look again") && page.contains("T12 Cork"), "{page}");

    // A double click sends the same form again.
    order_as(&console, &made_with, "Ann Lee").await;
    let placed = placed(&console).await;
    assert_eq!(placed[0], placed[1]);
    let (body, key) = &placed[0];
    assert_eq!(body["lines"], json!([{"sku": "TEA", "quantity": 2}]));
    assert!(key.len() == 43 && *key != made_with[0].1, "{key}");
    assert!(body["customer"]["id"].as_str().unwrap().starts_with("guest-"), "{body}");
    assert_eq!(body["delivery_address"].get("line2"), None);
    let asked = console.services.received_requests().await.unwrap();
    let order = asked.iter().find(|request| request.method.as_str() == "POST").unwrap();
    assert_eq!(order.headers["x-forwarded-for"], "127.0.0.1", "clients are counted one by one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_order_svc_refuses_stands_at_its_field_and_what_was_typed_stays() {
    let console = shop().await;
    let errors = json!([{"field": "customer.email", "message": "expected an e-mail address", "code": "invalid"}]);
    console
        .answers("POST", "/api/v1/orders", 422, json!({"code": "bad_input", "detail": "no", "errors": errors}))
        .await;
    let made_with = to_the_checkout(&console).await;
    let answer = order_as(&console, &made_with, EVIL).await;
    assert_eq!(answer.status().as_u16(), 422);
    let page = answer.text().await.unwrap();
    let wrong = between(&page, r#"id="w-email">"#, "</p>");
    assert_eq!(wrong, "Expected an e-mail address.");
    assert!(page.contains(r#"aria-describedby="w-email""#) && page.contains("1 Quay St"), "{page}");
    assert!(page.contains("&lt;script&gt;alert") && !page.contains("<script>alert"), "{page}");
    // The form that is sent again is the same order.
    assert_eq!(between(&page, r#"name="key" value=""#, "\""), made_with[0].1);
    assert!(page.contains(r#"<option value="IE" selected>"#), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_was_shown_to_somebody_signed_in_is_no_guest_s_order() {
    let console = shop().await;
    let mut made_with = to_the_checkout(&console).await;
    made_with.push(("who".to_owned(), "c-1001".to_owned()));
    let answer = order_as(&console, &made_with, "Ann Lee").await;
    assert_eq!(answer.status().as_u16(), 409);
    let page = answer.text().await.unwrap();
    assert!(page.contains("signed in or out") && page.contains("1 Quay St"), "{page}");
    assert_eq!(between(&page, r#"name="who" value=""#, "\""), "");
    assert_eq!(placed(&console).await, []);
}

/// Whether stock-svc answers or not, and whatever it says.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_buys_at_another_price_than_the_one_they_saw() {
    let console = shop().await;
    let made_with = to_the_checkout(&console).await;
    console.services.reset().await;
    let detail = "The order costs 30.98 EUR, and not 25.98 EUR as expected.";
    let error = json!({
        "field": "expected_total", "message": "25.98 EUR was expected", "code": "price_changed",
        "actual": {"amount": 3098, "currency": "EUR"}
    });
    let changed = json!({"code": "price_changed", "detail": detail, "errors": [error]});
    console.answers("POST", "/api/v1/orders", 409, changed).await;
    let away = order_as(&console, &made_with, "Ann Lee").await;
    let items = json!([product("TEA", "Earl Grey", 3)]);
    console.answers("GET", "/api/v1/products", 200, json!({"items": items, "next_cursor": null})).await;
    for answer in [away, order_as(&console, &made_with, "Ann Lee").await] {
        assert_eq!(answer.status().as_u16(), 409);
        let page = answer.text().await.unwrap();
        assert!(page.contains("A price has changed") && page.contains("Order and pay €30.98"), "{page}");
        assert_eq!(between(&page, r#"name="amount" value=""#, "\""), "3098", "what is shown is what is sent next");
        assert!(!page.contains("25.98"), "{page}");
        assert_eq!(between(&page, r#"name="key" value=""#, "\""), made_with[0].1);
    }
    let placed = placed(&console).await;
    let expected = json!({"amount": 2598, "currency": "EUR"});
    assert!(placed.iter().all(|(body, _)| body["expected_total"] == expected), "{placed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_is_priced_by_one_request_and_an_order_by_none() {
    let console = shop().await;
    console.send("/", "/basket", &[("do", "add"), ("sku", "MUG"), ("quantity", "1")]).await;
    let made_with = to_the_checkout(&console).await;
    console.services.reset().await;
    console.answers("GET", "/api/v1/products", 200, json!({"items": [product("TEA", "Tea", 3)]})).await;
    let (_, page) = console.page("/basket").await;
    assert!(page.contains("not sold any more") && page.contains("€25.98"), "{page}");
    let asked = console.services.received_requests().await.unwrap();
    let asked: Vec<_> =
        asked.iter().map(|request| format!("{}?{}", request.url.path(), request.url.query().unwrap())).collect();
    assert_eq!(asked, ["/api/v1/products?sku=MUG%2CTEA&limit=2"]);
    let proof = console.proof().await;
    console.services.reset().await;
    console.answers("POST", "/api/v1/orders", 202, order(json!({}))).await;
    let typed = [("name", "Ann Lee"), ("proof", proof.as_str())];
    let fields: Vec<_> = made_with.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(typed).collect();
    console.browser.post(&format!("{}/checkout", console.served.root), &fields).await;
    let asked = console.services.received_requests().await.unwrap();
    assert_eq!(asked.iter().map(|request| request.url.path()).collect::<Vec<_>>(), ["/api/v1/orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_from_here_does_nothing() {
    let console = shop().await;
    console.page("/").await;
    for (at, fields) in [("/basket", "do=add&sku=TEA&quantity=1"), ("/checkout", "lines=TEA*1"), ("/account", "name=x")]
    {
        for proof in ["", "&proof=made-up"] {
            let pairs: Vec<(String, String)> =
                url::form_urlencoded::parse(format!("{fields}{proof}").as_bytes()).into_owned().collect();
            let answer = console.browser.post(&format!("{}{at}", console.served.root), &pairs).await;
            assert_eq!(answer.status().as_u16(), 403, "{at}");
        }
    }
    assert_eq!(console.browser.cookie("console_basket"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_whose_stock_svc_is_away_stands() {
    let console = shop().await;
    to_the_checkout(&console).await;
    console.services.reset().await;
    for at in ["/api/v1/products", "/api/v1/products/TEA", "/api/v1/categories"] {
        console.answers("GET", at, 503, json!({"detail": "The database is gone."})).await;
    }
    for (at, status) in [("/", 503), ("/basket", 200), ("/checkout", 200), ("/products/TEA", 503)] {
        let (given, page) = console.page(at).await;
        assert_eq!(given, status, "{at}: {page}");
        assert!(page.contains("just now") && page.contains("</html>"), "{at}: {page}");
        assert!(!page.contains("stock-svc") && !page.contains("database"), "customers know no services: {page}");
    }
    let (_, page) = console.page("/basket").await;
    assert!(page.contains("TEA") && page.contains(r#"value="2""#), "what is in the basket stays: {page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_each_client_is_counted_by_itself() {
    let console = shop().await;
    console.answers("POST", "/api/v1/orders", 202, order(json!({}))).await;
    // What stands first anybody may have written.
    *console.browser.forwarded.lock().unwrap() = Some("203.0.113.9, 198.51.100.7");
    let made_with = to_the_checkout(&console).await;
    order_as(&console, &made_with, "Ann Lee").await;
    let asked = console.services.received_requests().await.unwrap();
    let placed = asked.iter().find(|request| request.method.as_str() == "POST").unwrap();
    assert_eq!(placed.headers["x-forwarded-for"], "198.51.100.7");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_orders_too_often_is_told_to_wait_and_what_was_typed_stays() {
    let console = sells_tea(Console::limited(Some(issuer()), 1).await).await;
    console.answers("POST", "/api/v1/orders", 202, order(json!({}))).await;
    let made_with = to_the_checkout(&console).await;
    assert_eq!(order_as(&console, &made_with, "Ann Lee").await.status(), 303);
    let made_with = to_the_checkout(&console).await;
    let answer = order_as(&console, &made_with, EVIL).await;
    assert_eq!(answer.status(), 429);
    let page = answer.text().await.unwrap();
    assert!(page.contains("Please wait a minute, and press the button again."), "{page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    assert_eq!(between(&page, r#"name="key" value=""#, "\""), made_with[0].1, "the same order, if it is sent again");
    assert_eq!(placed(&console).await.len(), 1);
}
