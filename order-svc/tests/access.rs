//! Who may do what with orders, over real HTTP, with tokens.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::server::{Server, order_with};
use common::sse::Reader;
use common::tokens::Shop;
use order_svc::http::ACCESS;
use quadrille_testing::issuer::{claims, now};
use quadrille_testing::outbox;
use serde_json::{Value, json};
use service_kit::auth::{AuthConfig, Guard};
use service_kit::testing::eventually;
use shared_events::header;

fn id_of(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_see_and_change_their_own_orders_and_others_do_not_exist_for_them() {
    let shop = Shop::with_guests().await;
    let (ann, ben) = (shop.token("ann"), shop.token("ben"));
    let order = shop.placed(Some(&ann), "ann").await;
    let written = shop.written().await;
    assert_eq!(shop.statuses(id_of(&order), Some(&ben)).await, [404; 6]);
    assert_eq!(shop.statuses(id_of(&order), None).await, [401; 6]);
    shop.server.refuses_strangers(ACCESS).await;
    let (status, list) = shop.ask("GET", "", Some(&ben), None).await;
    assert_eq!((status, &list["items"]), (200, &json!([])));
    for customer in ["ann", "nobody"] {
        let (status, problem) = shop.ask("GET", &format!("?customer_id={customer}"), Some(&ben), None).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("customer_id")));
        let body = order_with("/customer/id", json!(customer));
        let (status, problem) = shop.ask("POST", "", Some(&ben), Some(body)).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("customer.id")));
    }
    assert_eq!(shop.written().await, written, "what is refused writes nothing");
    let (_, list) = shop.ask("GET", "", Some(&ann), None).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(shop.statuses(id_of(&order), Some(&ann)).await, [200, 200, 200, 200, 409, 202]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_orders_without_an_account_and_the_link_shows_and_cancels_that_order_alone() {
    let shop = Shop::with_guests().await;
    let (status, problem) = shop.ask("POST", "", None, Some(order_with("/customer/id", json!("ann")))).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("customer.id")), "no guest is somebody else");
    let (order, other) = (shop.placed(None, "guest-1").await, shop.placed(None, "guest-1").await);
    let link = order["links"]["guest"].as_str().unwrap();
    assert_eq!(shop.ask("GET", link, None, None).await.0, 200);
    assert_eq!(shop.ask("GET", &link.replace('?', "/history?limit=10&"), None, None).await.0, 200);
    let token = link.rsplit_once('=').unwrap().1;
    assert_eq!(shop.statuses(id_of(&order), Some(token)).await, [200, 200, 200, 403, 403, 202]);
    assert_eq!(shop.statuses(id_of(&other), Some(token)).await, [404, 404, 404, 403, 403, 404]);
    assert_eq!(shop.ask("GET", "", Some(token), None).await.0, 403);
    let (_, seen) = shop.ask("GET", &format!("/{}", id_of(&other)), Some(&shop.token("sam")), None).await;
    assert_eq!((&seen["status"], &seen["links"]["guest"]), (&json!("pending"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_nothing_more_once_the_token_that_it_was_begun_with_has_expired() {
    /// How long after its `exp` a token is accepted, and how long this one is from now on.
    const SKEW: i64 = 60;
    const GOOD_FOR: i64 = 6;
    let shop = Shop::with_guests().await;
    let ann = shop.token("ann");
    let order = shop.placed(Some(&ann), "ann").await;
    let mut expiring = claims(&shop.issuer, "ann", &["customer"]);
    expiring["exp"] = json!(now() - SKEW + GOOD_FOR);
    let expiring = shop.issuer.signers[0].token(&expiring);
    let path = format!("/{}/events", id_of(&order));
    let open = async |token: &str| {
        let url = format!("{}{path}", shop.server.url);
        Reader::new(shop.server.client.get(url).bearer_auth(token).send().await.unwrap())
    };
    let (mut with_expiring, mut with_other) = (open(&expiring).await, open(&ann).await);
    let placed = with_expiring.event().await.unwrap();
    let is_expired = async || shop.ask("GET", &format!("/{}", id_of(&order)), Some(&expiring), None).await.0 == 401;
    eventually("the token has expired", Duration::from_secs(30), is_expired).await;
    assert_eq!(shop.ask("POST", &format!("/{}/cancel", id_of(&order)), Some(&ann), None).await.0, 202);
    assert_eq!(with_other.event().await, Some(placed));
    assert_eq!(with_other.event().await.unwrap().1, "cancelling");
    assert_eq!(with_expiring.event().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_is_its_caller_s_own() {
    let shop = Shop::with_guests().await;
    let post = async |token: Option<&str>| {
        let body = order_with("/customer/id", json!("guest-1"));
        let request = shop.server.client.post(&shop.server.url).header("Idempotency-Key", "k").json(&body);
        let request =
            token.map_or_else(|| request.try_clone().unwrap(), |token| request.try_clone().unwrap().bearer_auth(token));
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let (first, again) = (post(None).await, post(None).await);
    assert_eq!(first, again);
    let by_staff = post(Some(&shop.token("sam"))).await;
    assert_ne!(by_staff["id"], first["id"]);
    assert_eq!(by_staff["links"]["guest"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_guests_are_not_taken_an_order_needs_a_token() {
    let shop = Shop::open(None).await;
    let (status, _) = shop.ask("POST", "", None, Some(order_with("/customer/id", json!("guest-1")))).await;
    assert_eq!((status, shop.written().await), (401, [0; 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_changes_is_on_record_and_its_events_say_who_it_was() {
    let shop = Shop::with_guests().await;
    let (sam, olga) = (shop.token("sam"), shop.token("olga"));
    let order = shop.placed(Some(&sam), "ann").await;
    let path = format!("/api/v1/orders/{}/cancel", id_of(&order));
    assert_eq!(shop.ask("POST", &path, Some(&sam), None).await.0, 202);
    assert_eq!(shop.ask("GET", "", Some(&sam), None).await.0, 200);
    assert_eq!(shop.ask("POST", &path, Some(&olga), None).await.0, 403, "operators mend, they don't cancel");
    assert_eq!(shop.ask("GET", "/api/v1/actions", Some(&sam), None).await.0, 403);
    let (status, list) = shop.ask("GET", "/api/v1/actions?sub=sam", Some(&olga), None).await;
    let seen = |action: &Value| ["sub", "role", "method", "path", "status"].map(|name| action[name].clone());
    let actions: Vec<_> = list["items"].as_array().unwrap().iter().map(seen).collect();
    let by_sam = |path: &str| [json!("sam"), json!("staff"), json!("POST"), json!(path), json!(202)];
    assert_eq!((status, actions), (200, vec![by_sam(&path), by_sam("/api/v1/orders")]));
    for bad in ["a%00b", "%20", "", &"a".repeat(256)] {
        let (status, problem) = shop.ask("GET", &format!("/api/v1/actions?sub={bad}"), Some(&olga), None).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("sub")), "{bad:?}");
    }
    let said = outbox(&shop.server.shop.db).await;
    assert!(!said.is_empty() && said.iter().all(|row| row.headers[header::ACTOR] == "sam"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_asks_for_tokens_where_the_service_does_and_nowhere_else() {
    let asks = Shop::with_guests().await;
    let url = format!("{}/openapi.json", asks.server.root);
    let document: Value = asks.server.client.get(url).send().await.unwrap().json().await.unwrap();
    assert!(document["components"]["securitySchemes"]["token"].is_object(), "{document}");
    assert_eq!(document["paths"]["/api/v1/orders/{id}"]["get"]["security"], json!([{"token": []}, {"link": []}]));
    let off = Server::guarded(Guard::new(ACCESS, &AuthConfig::Off).unwrap(), None).await;
    let document: Value =
        off.client.get(format!("{}/openapi.json", off.root)).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["components"]["securitySchemes"], Value::Null);
    assert_eq!(document["paths"]["/api/v1/orders/{id}"]["get"]["security"], Value::Null);
}
