//! The shop window, as a browser without JavaScript sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::shopping::*;
use common::{Console, between, led_to};
use reqwest::Response;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

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

/// The events of a stream, one after the other.
struct Events(Response, String);

impl Events {
    async fn of(console: &Console) -> Self {
        let answer = console.get(&format!("/orders/{ORDER}/live?may=cancel")).await;
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self(answer, String::new())
    }

    /// The next event of this name, and what came before it.
    async fn until(&mut self, name: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        loop {
            let event = self.next().await.unwrap();
            if event.starts_with(&format!("event: {name}\n")) {
                return (before, event);
            }
            before.push(event);
        }
    }

    /// The next event that is no comment; none once the stream is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            while let Some((event, rest)) = self.1.split_once("\n\n") {
                let event = event.starts_with("event: ").then(|| event.to_owned());
                self.1 = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.0.chunk().await.unwrap()?;
            self.1 += str::from_utf8(&chunk).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_is_shown_what_changes_until_the_order_has_ended() {
    let console = Console::start().await;
    let id = ORDER.parse::<uuid::Uuid>().unwrap();
    order_is(&console, 4, 200, order(json!({}))).await;
    let mut events = Events::of(&console).await;
    let (_, first) = events.until("headline").await;
    assert!(first.starts_with("event: headline\nid: ") && first.contains("We are working on your order"), "{first}");
    assert!(first.lines().skip(2).all(|line| line.starts_with("data: ")), "{first}");

    order_is(&console, 3, 200, order(json!({"status": "confirmed", "version": 2}))).await;
    console.changes.tell([id]);
    let (_, second) = events.until("headline").await;
    assert!(second.contains("Your order is confirmed"), "{second}");

    order_is(&console, 2, 503, json!({"detail": "gone"})).await;
    console.changes.tell([id]);
    let (before, away) = events.until("trouble").await;
    assert!(away.contains("look just now") && away.contains("This is what we saw last"), "{away}");
    assert!(
        before.iter().all(|event| event.contains("confirmed") || !event.starts_with("event: headline")),
        "{before:?}"
    );

    // Without anything heard it is seen by looking.
    order_is(&console, 1, 200, order(json!({"status": "completed", "version": 3, "links": {}}))).await;
    // Nothing that is as it was is sent again: what is read aloud is read once, and a link keeps the focus.
    let (before, over) = events.until("trouble").await;
    assert_eq!((before, over.ends_with("\ndata: ")), (vec![], true), "{over}");
    let (_, last) = events.until("headline").await;
    assert!(last.contains("Delivered"), "{last}");
    // Until now the same could be done, so that nothing was sent of that.
    let (_, actions) = events.until("actions").await;
    assert!(actions.starts_with("event: actions\ndata: ") && !actions.contains("Cancel"), "{actions}");
    assert_eq!(events.next().await.as_deref(), Some("event: over\ndata: over"));
    assert_eq!(events.next().await, None);
}

/// What order-svc answers from now on; the lower number counts.
async fn order_is(console: &Console, priority: u8, status: u16, body: Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    let asked = Mock::given(method("GET")).and(path(order_path()));
    asked.respond_with(answer).with_priority(priority).mount(&console.services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_look_live_than_there_is_room_for() {
    let console = Console::start().await;
    console.answers("GET", &order_path(), 200, order(json!({}))).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut events = Events::of(&console).await;
        events.next().await.unwrap();
        open.push(events);
    }
    // Whoever comes then is told how the order is, and to come again.
    let live = format!("{}/orders/{ORDER}/live?may=cancel", console.served.root);
    let told = reqwest::get(&live).await.unwrap().text().await.unwrap();
    assert!(told.starts_with("retry: 15000\n\n") && told.contains("We are working on your order"), "{told}");
    let last = told.lines().filter_map(|line| line.strip_prefix("id: ")).last().unwrap();
    let again = console.served.client.get(&live).header("last-event-id", last).send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), "retry: 15000\n\n", "what they have is not sent again");
    let (_, page) = console.page(&format!("/orders/{ORDER}")).await;
    let page = page.split("<noscript>").next().unwrap();
    assert!(page.contains(&format!(r#"<a href="/orders/{ORDER}">Look again</a>"#)), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lists_orders_in_words() {
    let console = Console::start().await;
    let items = json!([order(json!({"number": "Q-2026-000123", "status": "partially_shipped"}))]);
    console.answers("GET", "/api/v1/orders", 200, json!({"items": items, "next_cursor": null})).await;
    let (status, page) = console.page("/account").await;
    assert_eq!(status, 200);
    assert!(page.contains("Q-2026-000123") && page.contains("A part of your order is on its way"), "{page}");
    assert!(!page.contains("partially_shipped"), "{page}");
}
