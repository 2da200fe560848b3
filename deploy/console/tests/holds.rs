//! What must hold, as a browser without JavaScript sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Console, issuer, led_to};
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, ResponseTemplate};

const EVIL: &str = r#"<script>alert("x")</script><img src=x onerror=alert(1)>"#;
const LOOKED_AT: &str = "2026-11-30T08:00:00Z";

/// Rules as the watch tells them, all alike but one.
fn rules(number: u64, changed: &Value) -> Vec<Value> {
    let rule = |this: u64| {
        let mut rule = json!({"number": this, "rule": "it", "state": "holds", "since": LOOKED_AT, "figures": "3 orders",
            "broken": [], "more": 0, "unchecked": null});
        for (name, value) in changed.as_object().into_iter().flatten().filter(|_| this == number) {
            rule[name] = value.clone();
        }
        rule
    };
    (1..=13).map(rule).collect()
}

fn told(number: u64, changed: &Value) -> Value {
    let last = json!({"began_at": LOOKED_AT, "ended_at": LOOKED_AT, "seconds": 0.4, "placed_since": "2026-11-30T07:00:00Z",
        "holds": true, "stopped": null, "rules": rules(number, changed)});
    let never = json!({"looking_since": null, "progress": null, "last": null, "trouble": null});
    json!({"at": LOOKED_AT, "new_for_seconds": 3600, "next_at": LOOKED_AT,
        "new": {"looking_since": null, "progress": null, "last": last, "trouble": null}, "whole": never})
}

/// The page of a console to whose watch this was answered. Slashes are escaped on it, which nobody has to know.
async fn page(status: u16, answer: Value) -> (Console, String) {
    let console = Console::with_all_beside().await;
    console.answers("GET", "/watch", status, answer).await;
    let (status, page) = console.page("/control/holds").await;
    assert_eq!(status, 200, "{page}");
    (console, page.replace("&#x2f;", "/"))
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_holds_the_page_is_green() {
    let (_, page) = page(200, told(0, &json!({}))).await;
    assert!(page.contains("All 13 rules hold for what is new."), "{page}");
    assert_eq!((page.matches("tag good").count(), page.matches("tag bad").count()), (13, 0), "{page}");
    assert!(page.contains("orders placed since 30 Nov 2026, 07:00:00 UTC") && page.contains("3 orders"), "{page}");
    assert!(page.contains("Everything was not looked at yet"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_rule_is_broken_the_page_is_red_and_leads_to_the_order() {
    let order = Uuid::now_v7();
    let finding = json!({"rule": 3, "of": format!("order {order}"), "what": EVIL});
    let stranger = json!({"rule": 3, "of": EVIL, "what": "unheard of"});
    let broken = json!({"state": "broken", "broken": [finding, stranger], "more": 7});
    let (_, page) = page(200, told(3, &broken)).await;
    assert!(page.contains("1 of 13 rules is broken."), "{page}");
    assert_eq!((page.matches("tag good").count(), page.matches("tag bad").count()), (12, 1), "{page}");
    assert!(page.contains(&format!(r#"<a href="/control/orders/{order}">order {order}</a>"#)), "{page}");
    assert!(page.contains("and 7 more"), "{page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert") && !page.contains("<img"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_could_not_be_checked_is_neither_green_nor_red() {
    let away = json!({"state": "unchecked", "unchecked": "the topics can't be read (refused)"});
    let (_, page) = page(200, told(8, &away)).await;
    assert!(page.contains("12 of 13 rules hold for what is new"), "{page}");
    assert!(page.contains("could not be checked</span>") && page.contains("the topics can&#x27;t be read"), "{page}");
    assert_eq!((page.matches("tag good").count(), page.matches("tag bad").count()), (12, 0), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_away_leaves_the_rules_and_says_so() {
    let (_, page) = page(503, json!({"detail": "not now"})).await;
    assert!(page.contains("The watch does not answer just now.") && page.contains("only legal transitions"), "{page}");
    assert_eq!((page.matches("tag good").count(), page.matches("tag bad").count()), (0, 0), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_watches_the_page_says_how_to_start_a_watch() {
    let console = Console::start().await;
    let (status, page) = console.page("/control/holds").await;
    assert_eq!(status, 200);
    assert!(page.contains("quadrille audit --serve") && page.contains("WATCH_URL"), "{page}");
    assert!(page.contains("only legal transitions") && !page.contains("Look at everything now"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_looked_at_when_somebody_asks_for_it_and_how_far_that_is_is_shown() {
    let console = Console::with_all_beside().await;
    let mut answer = told(0, &json!({}));
    answer["whole"]["looking_since"] = LOOKED_AT.into();
    answer["whole"]["progress"] = json!({"ranges": 26, "done": 16, "events": 4711});
    console.answers("GET", "/watch", 200, answer).await;
    let begin = Mock::given(method("POST")).and(path("/watch/whole")).and(body_json(json!({})));
    let begin = begin.and(header("content-type", "application/json"));
    begin.respond_with(ResponseTemplate::new(202).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let unproven = console.browser.post(&format!("{}/control/holds/whole", console.served.root), &[("a", "b")]).await;
    assert_eq!(unproven.status(), 403, "a form from elsewhere");
    let answer = console.send("/control/holds", "/control/holds/whole", &[]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/control/holds"));
    let (_, page) = console.page("/control/holds/live").await;
    assert!(page.contains("16 of 26 ranges of orders are done, 4711 events are read"), "{page}");
    assert!(!page.contains("<html"), "a part of the page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_at_everything_is_refused_in_the_watchs_words() {
    let console = Console::with_all_beside().await;
    console.answers("GET", "/watch", 200, told(0, &json!({}))).await;
    let problem = json!({"detail": "Everything is looked at already, since 08:00: one look at a time."});
    console.answers("POST", "/watch/whole", 409, problem).await;
    let answer = console.send("/control/holds", "/control/holds/whole", &[]).await;
    assert_eq!(answer.status(), 409);
    assert!(answer.text().await.unwrap().contains("one look at a time"));
}

async fn with_faults(console: &Console, faults: Value) {
    console.answers("GET", "/watch", 200, told(0, &json!({}))).await;
    console.answers("GET", "/sandbox/faults", 200, faults).await;
}

/// The gateway is asked once for these faults, and does as it is told.
async fn is_told(console: &Console, faults: Value) {
    let put = Mock::given(method("PUT")).and(path("/sandbox/faults")).and(body_json(faults));
    put.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_faults_are_shown_switched_and_ended() {
    let console = Console::with_all_beside().await;
    let faults = json!({"decline": "stolen_card", "capture_fails": true, "failure_rate": 0.3, "delay_ms": 200,
        "webhooks": {"duplicate": true}});
    with_faults(&console, faults).await;
    let (_, page) = console.page("/control/holds").await;
    for shown in [r#"value="30""#, r#"value="200""#, r#"value="stolen_card" selected"#, "something goes wrong"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    assert_eq!(page.matches(" checked").count(), 2, "{page}");

    let wanted = json!({"capture_fails": true, "webhooks": {"lose": true}, "delay_ms": 0, "failure_rate": 0.5});
    is_told(&console, wanted).await;
    let fields = [("failing", "50"), ("delay_ms", "0"), ("decline", ""), ("capture_fails", "1"), ("lose", "1")];
    let unproven = console.browser.post(&format!("{}/control/holds/faults", console.served.root), &fields).await;
    assert_eq!(unproven.status(), 403, "a form from elsewhere");
    let answer = console.send("/control/holds", "/control/holds/faults", &fields).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/control/holds#switches"));
    let answer = console.send("/control/holds", "/control/holds/faults", &[("failing", "110")]).await;
    assert_eq!(answer.status(), 422);

    is_told(&console, json!({})).await;
    with_parts(&console, &[]).await;
    let answer = console.send("/control/holds", "/control/holds/well", &[]).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/control/holds#switches"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_leaves_the_rules_and_says_so() {
    let console = Console::with_all_beside().await;
    console.answers("GET", "/watch", 200, told(0, &json!({}))).await;
    let (_, page) = console.page("/control/holds").await;
    assert!(page.contains("All 13 rules hold") && page.contains("The sandbox gateway says"), "{page}");
    assert!(!page.contains("Have it go wrong"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_sandbox_there_are_no_switches() {
    let console = Console::start().await;
    let (_, page) = console.page("/control/holds").await;
    assert!(page.contains("There are none") && !page.contains("End all trouble"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pressed_a_switch_is_on_record() {
    let console = Console::beside(Some(issuer()), true).await;
    with_faults(&console, json!({})).await;
    console.answers("GET", "/api/v1/actions", 200, json!({"items": [], "next_cursor": null})).await;
    is_told(&console, json!({"webhooks": {}, "delay_ms": 0, "failure_rate": 0.1})).await;
    console.signs_in("operator").await;
    let answer = console.send("/control/holds", "/control/holds/faults", &[("failing", "10")]).await;
    assert_eq!(answer.status(), 303);
    console.answers("POST", "/watch/whole", 409, json!({"detail": "one at a time"})).await;
    assert_eq!(console.send("/control/holds", "/control/holds/whole", &[]).await.status(), 409);
    let (_, page) = console.page("/control/actions").await;
    let page = page.replace("&#x2f;", "/");
    for (path, status) in [("faults", "tag good\">303"), ("whole", "tag bad\">409")] {
        assert!(
            page.contains(&format!("<code>POST /control/holds/{path}</code></td><td>console</td>")),
            "{path}: {page}"
        );
        assert!(page.contains(status), "{path}: {page}");
    }
    let (_, of_others) = console.page("/control/actions?sub=sam").await;
    assert!(!of_others.contains("faults"), "{of_others}");
}

/// A runner with these parts, each of which has all switches.
async fn with_parts(console: &Console, parts: &[(&str, &str)]) {
    let all = ["stop", "start", "freeze", "continue", "kill"];
    let part = |(name, state): &(&str, &str)| json!({"name": name, "state": state, "pid": 7, "switches": all});
    let items: Vec<_> = parts.iter().map(part).collect();
    console.answers("GET", "/parts", 200, json!({"items": items})).await;
}

/// The runner is asked once for this.
async fn is_pressed(console: &Console, at: &str, body: Value) {
    let press = Mock::given(method("POST")).and(path(at)).and(header("content-type", "application/json"));
    let press = press.and(body_json(body)).respond_with(ResponseTemplate::new(202).set_body_json(json!({})));
    press.expect(1).mount(&console.services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_a_local_run_are_switched_and_what_the_page_stands_on_comes_back_by_itself() {
    let console = Console::with_all_beside().await;
    with_faults(&console, json!({})).await;
    with_parts(&console, &[("payment-svc", "running"), ("postgres", "running"), (EVIL, "running")]).await;
    let (_, page) = console.page("/control/holds").await;
    assert!(page.contains(r#"aria-label="Kill: payment-svc""#) && page.contains("Stop for 30 s: postgres"), "{page}");
    assert!(!page.contains("<script>alert"), "{page}");

    is_pressed(&console, "/parts/payment-svc/kill", json!({})).await;
    is_pressed(&console, "/parts/postgres/freeze", json!({"for_seconds": 30})).await;
    for at in ["payment-svc/kill", "postgres/freeze"] {
        let answer = console.send("/control/holds", &format!("/control/holds/parts/{at}"), &[]).await;
        assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/control/holds#switches"), "{at}");
    }
    for nothing in ["payment-svc/eat", "..%2fwatch/stop", "PAYMENT/kill"] {
        let answer = console.send("/control/holds", &format!("/control/holds/parts/{nothing}"), &[]).await;
        assert_eq!(answer.status(), 404, "{nothing}");
    }
    let unproven = format!("{}/control/holds/parts/payment-svc/kill", console.served.root);
    assert_eq!(console.browser.post(&unproven, &[("a", "b")]).await.status(), 403, "a form from elsewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_trouble_ends_at_once() {
    let console = Console::with_all_beside().await;
    with_faults(&console, json!({"capture_fails": true})).await;
    with_parts(&console, &[("payment-svc", "stopped"), ("stock-svc", "frozen"), ("order-svc", "running")]).await;
    is_told(&console, json!({})).await;
    is_pressed(&console, "/parts/payment-svc/start", json!({})).await;
    is_pressed(&console, "/parts/stock-svc/continue", json!({})).await;
    let answer = console.send("/control/holds", "/control/holds/well", &[]).await;
    assert_eq!(answer.status(), 303);
}
