//! The links in guests' mails, on a real PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};

use common::*;
use notification_svc::delivery::{Deliveries, Message, Sender, Sending};
use notification_svc::domain::{Channel, SendError};
use quadrille_testing::Served;
use service_kit::auth::GuestLinks;
use service_kit::external_calls::ExternalCalls;
use shared_events::{Customer, OrderId, OrderPlaced};

/// A mail server that says what it was given, as spam filters like to.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Message>>>);

impl Sender for Server {
    fn send(&self, message: Message) -> Sending {
        let said = format!("550 spam: {}", message.body.lines().last().unwrap_or_default());
        self.0.lock().unwrap().push(message);
        Box::pin(async move { Err(SendError::permanent(said)) })
    }
}

fn links() -> GuestLinks {
    GuestLinks::new(&"the secret that order-svc has as well".to_owned().into()).unwrap()
}

fn placed_by(customer: &str) -> OrderPlaced {
    let order = placed(OrderId::new());
    OrderPlaced { customer: Customer { id: customer.parse().unwrap(), ..order.customer }, ..order }
}

/// Hears of an order, and has its mail sent.
async fn mailed(shop: &mut Shop, order: &OrderPlaced) -> Message {
    mailed_with(shop, order, Some(links())).await
}

async fn mailed_with(shop: &mut Shop, order: &OrderPlaced, guests: Option<GuestLinks>) -> Message {
    shop.hear(order.clone()).await;
    let server = Server::default();
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(server.clone()), || {});
    let deliveries = deliveries.with_guest_links(guests);
    let due = deliveries.take(1).await.unwrap();
    Shop::performs(&deliveries, due).await;
    server.0.lock().unwrap().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_mail_has_the_link_to_their_order_as_text_and_as_html() {
    let mut shop = Shop::new().await;
    let order = placed_by("guest-7f3a");
    let mail = mailed(&mut shop, &order).await;
    let (_, link) = mail.body.split_once("https://shop.example").unwrap();
    let (path, token) = link.trim_end().split_once("?token=").unwrap();
    assert_eq!(path, format!("/api/v1/orders/{}", order.order_id), "as order-svc answers");
    assert_eq!(links().check(token), Some(order.order_id.0));
    let html = mail.html.unwrap();
    let (_, in_html) = html.split_once("?token=").unwrap();
    assert_eq!(in_html.split_once('"').unwrap().0, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_in_the_mail_alone_and_nowhere_that_anybody_else_reads() {
    let mut shop = Shop::new().await;
    let order = placed_by("guest-7f3a");
    mailed(&mut shop, &order).await;
    let token = links().token(order.order_id.0).unwrap();
    let tag = token.rsplit_once('.').unwrap().1;
    for table in ["orders", "notifications", "html_letters", "outbox"] {
        assert_eq!(shop.db.count(&format!("{table} kept where kept::text like '%{tag}%'")).await, 0, "{table}");
    }
    let said: Vec<String> = shop.db.rows("select last_error from notifications").await;
    assert_eq!(said, ["550 spam: (link)"]);
    let payloads = outbox(&shop.db).await;
    assert!(payloads.iter().all(|row| !format!("{:?}", row.event()).contains(tag)));
    let served = Served::start("/api/v1/notifications", notification_svc::http::routes(shop.db.pool.clone()).unwrap());
    let id = shop.messages().await[0].id;
    let (status, whole) = served.read(&format!("/{id}")).await;
    assert_eq!(status, 200);
    assert!(whole["text"].as_str().unwrap().contains("https://shop.example/api/v1/orders/"), "{whole}");
    assert!(!whole.to_string().contains(tag), "{whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_an_account_gets_no_link() {
    let mut shop = Shop::new().await;
    let mail = mailed(&mut shop, &placed_by("c-1001")).await;
    assert!(!mail.body.contains("token=") && !mail.html.unwrap().contains("token="));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_leaves_when_nothing_signs_links_any_more_has_one_without_a_token() {
    let mut shop = Shop::new().await;
    let order = placed_by("guest-7f3a");
    let mail = mailed_with(&mut shop, &order, None).await;
    assert!(mail.body.ends_with(&format!("/api/v1/orders/{}\n", order.order_id)), "{}", mail.body);
    assert!(!mail.html.unwrap().contains("token"));
}
