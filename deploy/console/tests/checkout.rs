//! The checkout where answers get lost, at an order-svc that keeps answers under their keys as the real one does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::shopping::*;
use common::{Console, between, led_to};
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{method, path};
use wiremock::{Mock, Request, Respond, ResponseTemplate};

type Asked = BTreeMap<String, (Value, Uuid)>;

/// Orders by their keys, as they were asked for; and whether its answers are lost.
#[derive(Clone, Default)]
struct Orders(Arc<Mutex<(Asked, bool)>>);

impl Orders {
    async fn at(console: &Console) -> Self {
        let orders = Self::default();
        let asked = Mock::given(method("POST")).and(path("/api/v1/orders"));
        asked.respond_with(orders.clone()).mount(&console.services).await;
        orders
    }

    fn placed(&self) -> Vec<Uuid> {
        self.0.lock().unwrap().0.values().map(|(_, id)| *id).collect()
    }

    fn answers_are_lost(&self, are_lost: bool) {
        self.0.lock().unwrap().1 = are_lost;
    }
}

impl Respond for Orders {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let (key, body) =
            (request.headers["idempotency-key"].to_str().unwrap().to_owned(), request.body_json::<Value>().unwrap());
        let mut state = self.0.lock().unwrap();
        let known = state.0.get(&key).cloned();
        let id = match known {
            Some((first, id)) if first == body => id,
            Some(_) => {
                let problem = json!({"code": "key_reused", "detail": "It was used for another request."});
                return ResponseTemplate::new(422).set_body_json(problem);
            }
            None if body["expected_total"]["amount"] == 0 => {
                let problem = json!({"code": "price_changed", "detail": "It costs something else."});
                return ResponseTemplate::new(409).set_body_json(problem);
            }
            None => {
                let id = Uuid::now_v7();
                state.0.insert(key, (body, id));
                id
            }
        };
        match state.1 {
            true => ResponseTemplate::new(503).set_body_json(json!({"detail": "The request took too long."})),
            false => ResponseTemplate::new(202).set_body_json(order(json!({"id": id}))),
        }
    }
}

fn page_of(id: Uuid) -> String {
    format!("/orders/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_back_after_a_lost_answer_is_shown_the_order_that_they_have_placed() {
    let console = shop().await;
    let orders = Orders::at(&console).await;
    orders.answers_are_lost(true);
    let made_with = to_the_checkout(&console).await;
    let answer = order_as(&console, &made_with, "Ann Lee").await;
    assert_eq!(answer.status().as_u16(), 503);
    let told = answer.text().await.unwrap();
    assert!(told.contains("whether your order was placed") && told.contains("stays one order"), "{told}");
    // As long as nobody can say, the form is the same one.
    let (_, page) = console.page("/checkout").await;
    assert!(page.contains("whether your order was placed"), "{page}");
    assert_eq!(between(&page, r#"name="key" value=""#, "\""), made_with[0].1);

    orders.answers_are_lost(false);
    // They put something else into the basket first, and so would order anew.
    console.send("/", "/basket", &[("do", "add"), ("sku", "TEA"), ("quantity", "1")]).await;
    let back = console.get("/checkout").await;
    let placed = orders.placed();
    assert_eq!((back.status().as_u16(), led_to(&back), placed.len()), (303, page_of(placed[0]).as_str(), 1));
    let kept = back
        .headers()
        .get_all("set-cookie")
        .iter()
        .any(|set| set.to_str().unwrap().starts_with("console_guest=guest."));
    assert!(kept, "{back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_filled_in_otherwise_after_a_lost_answer_leads_to_the_order_that_is_there() {
    let console = shop().await;
    let orders = Orders::at(&console).await;
    let made_with = to_the_checkout(&console).await;
    orders.answers_are_lost(true);
    order_as(&console, &made_with, "Ann Lee").await;
    orders.answers_are_lost(false);
    let answer = order_as(&console, &made_with, "Ann M. Lee").await;
    let placed = orders.placed();
    assert_eq!((answer.status().as_u16(), led_to(&answer), placed.len()), (303, page_of(placed[0]).as_str(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tabs_of_one_basket_are_one_order_and_the_next_basket_is_another() {
    let console = shop().await;
    let orders = Orders::at(&console).await;
    let made_with = to_the_checkout(&console).await;
    let (_, other_tab) = console.page("/checkout").await;
    assert_eq!(between(&other_tab, r#"name="key" value=""#, "\""), made_with[0].1);
    let first = order_as(&console, &made_with, "Ann Lee").await;
    let second = order_as(&console, &made_with, "Ann M. Lee").await;
    assert_eq!((led_to(&first), orders.placed().len()), (led_to(&second), 1));
    // They want the same again.
    let again = to_the_checkout(&console).await;
    assert_ne!(again[0].1, made_with[0].1);
    let third = order_as(&console, &again, "Ann Lee").await;
    assert_ne!(led_to(&third), led_to(&first));
    assert_eq!(orders.placed().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_between_console_and_browser_is_found_again() {
    let console = shop().await;
    let orders = Orders::at(&console).await;
    let made_with = to_the_checkout(&console).await;
    let before = console.browser.as_it_is();
    order_as(&console, &made_with, "Ann Lee").await;
    // This browser never saw the answer.
    let back = before.get(&format!("{}/checkout", console.served.root)).await;
    assert_eq!((led_to(&back), orders.placed().len()), (page_of(orders.placed()[0]).as_str(), 1));
}
