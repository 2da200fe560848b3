//! Mails on their way out, on a real PostgreSQL; the mail server is a mock, as it is the edge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use notification_svc::delivery::{Deliveries, Message, Sender, Sending};
use notification_svc::domain::{Channel, SendError};
use service_kit::external_calls::{ExternalCalls, Worker};
use service_kit::testing::{Running, eventually};
use shared_events::*;

mockall::mock! {
    Server {}

    impl Sender for Server {
        fn send(&self, message: Message) -> Sending;
    }
}

/// A server that answers each mail with the next of `answers` and remembers the mails.
fn server(answers: Vec<Result<(), SendError>>) -> (MockServer, Arc<Mutex<Vec<Message>>>) {
    let mails = Arc::new(Mutex::new(Vec::new()));
    let (kept, mut answers, expected) = (Arc::clone(&mails), answers.clone().into_iter(), answers.len());
    let mut server = MockServer::new();
    server.expect_send().times(expected).returning(move |mail| {
        kept.lock().unwrap().push(mail);
        let answer = answers.next().unwrap();
        Box::pin(async move { answer })
    });
    (server, mails)
}

fn busy() -> Result<(), SendError> {
    Err(SendError::transient("450 mailbox busy"))
}

fn deliveries(shop: &Shop, server: MockServer) -> Deliveries {
    Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(server), || {})
}

/// Takes all that is due now, sends it and records that.
async fn deliver(deliveries: &Deliveries) {
    Shop::performs(deliveries, deliveries.take(100).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_sent_once_and_announced() {
    let (shop, order) = Shop::with_an_order().await;
    let (server, mails) = server(vec![Ok(())]);
    let nudges = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&nudges);
    let deliveries = Deliveries::new(shop.db.pool.clone(), Channel::Email, Arc::new(server), move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    deliver(&deliveries).await;
    shop.time_passes().await;
    deliver(&deliveries).await;

    let message = shop.messages().await.remove(0);
    assert_eq!((message.status.as_str(), message.attempts), ("sent", 1));
    assert!(message.sent_at.is_some());
    assert_eq!(mails.lock().unwrap()[0].recipient, "ann@example.com");
    let (notification_id, template, channel) =
        (NotificationId(message.id), "order_placed".to_owned(), "email".to_owned());
    assert_eq!(shop.said().await, [NotificationSent { order_id: order, notification_id, template, channel }.into()]);
    assert_eq!(nudges.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_names_the_fact_it_follows_and_counts_from_one() {
    let (mut shop, order) = Shop::with_an_order().await;
    let record = shop.says(confirmed(order));
    shop.hears(&record).await;
    let (server, _) = server(vec![Ok(()), Ok(())]);
    let deliveries = deliveries(&shop, server);
    deliver(&deliveries).await;
    deliver(&deliveries).await;
    let rows = outbox(&shop.db).await;
    assert_eq!(rows.iter().map(OutboxRow::sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(rows[1].headers[header::CAUSATION_ID], record.header(header::ID).unwrap());
    assert_eq!(rows[1].headers[header::SOURCE], "/notification-svc");
    assert_eq!([&rows[1].topic, &rows[1].key], ["notifications.v1", &order.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_now_is_tried_again_later_and_sent() {
    let (shop, _) = Shop::with_an_order().await;
    let (server, mails) = server(vec![busy(), Ok(())]);
    let deliveries = deliveries(&shop, server);
    deliver(&deliveries).await;
    assert!(shop.take().await.is_empty(), "not at once");
    let message = shop.messages().await.remove(0);
    assert_eq!((message.status.as_str(), message.last_error.as_deref()), ("queued", Some("450 mailbox busy")));

    shop.time_passes().await;
    deliver(&deliveries).await;
    let mails = mails.lock().unwrap().clone();
    assert_eq!(mails[0], mails[1], "the same Message-ID both times");
    let message = shop.messages().await.remove(0);
    assert_eq!((message.status.as_str(), message.attempts, message.last_error), ("sent", 2, None));
    assert_eq!(shop.said().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_crash_around_mail_sends_the_same_message_id_again() {
    let (shop, _) = Shop::with_an_order().await;
    let crashed = deliveries(&shop, MockServer::new()).take(1).await.unwrap();
    assert_eq!(crashed.len(), 1, "taken, perhaps sent, and then nobody was there to record it");
    let (server, mails) = server(vec![Ok(())]);
    let deliveries = deliveries(&shop, server);
    deliver(&deliveries).await;
    assert!(mails.lock().unwrap().is_empty(), "its lease holds");

    shop.time_passes().await;
    deliver(&deliveries).await;
    assert_eq!(mails.lock().unwrap()[0].id.0, crashed[0].id);
    assert_eq!(shop.told().await, [("order_placed".to_owned(), "sent".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_taken_for_dead_announces_nothing_twice() {
    let (shop, _) = Shop::with_an_order().await;
    let (server, _) = server(vec![Ok(()), Ok(()), busy()]);
    let deliveries = deliveries(&shop, server);
    let slow = deliveries.take(1).await.unwrap().remove(0);
    shop.time_passes().await;
    deliver(&deliveries).await;
    Shop::performs(&deliveries, [slow.clone()]).await;
    Shop::performs(&deliveries, [slow]).await;
    assert_eq!(shop.told().await, [("order_placed".to_owned(), "sent".to_owned())]);
    assert_eq!(shop.said().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_taken_for_dead_gives_nothing_up_that_another_tries() {
    let (shop, _) = Shop::with_an_order().await;
    let (server, _) = server(vec![Err(SendError::permanent("550 unknown")), Ok(())]);
    let deliveries = deliveries(&shop, server);
    let slow = deliveries.take(1).await.unwrap().remove(0);
    shop.time_passes().await;
    let other = deliveries.take(1).await.unwrap().remove(0);
    Shop::performs(&deliveries, [slow]).await;
    assert_eq!(shop.told().await, [("order_placed".to_owned(), "queued".to_owned())]);
    Shop::performs(&deliveries, [other]).await;
    assert_eq!(shop.told().await, [("order_placed".to_owned(), "sent".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_good_is_given_up_and_says_so_without_the_address() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    let (server, _) = server(vec![Err(SendError::permanent("550 <ann@example.com> unknown")), Ok(())]);
    let deliveries = deliveries(&shop, server);
    deliver(&deliveries).await;
    let failed = match &shop.said().await[..] {
        [Event::Notification(NotificationEvent::Failed(failed))] => failed.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((failed.order_id, failed.error.as_str()), (order, "550 (address) unknown"));
    deliver(&deliveries).await;
    assert_eq!(shop.told().await.iter().map(|(_, status)| status.as_str()).collect::<Vec<_>>(), ["failed", "sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_is_recorded_though_another_of_its_order_has_a_status_that_only_a_newer_build_knows() {
    let (mut shop, order) = Shop::with_an_order().await;
    shop.hear(confirmed(order)).await;
    shop.db.run("alter table notifications drop constraint notifications_status_check").await;
    shop.db.run("update notifications set status = 'snoozed' where template = 'order_confirmed'").await;
    let (server, mails) = server(vec![Ok(())]);
    let deliveries = deliveries(&shop, server);
    deliver(&deliveries).await;
    shop.time_passes().await;
    deliver(&deliveries).await;
    assert_eq!(mails.lock().unwrap().len(), 1);
    let told = [("order_placed", "sent"), ("order_confirmed", "snoozed")];
    assert_eq!(shop.told().await, told.map(|(template, status)| (template.to_owned(), status.to_owned())));
    shop.hear(dispatched(order)).await;
    assert_eq!(shop.takes_and_sends().await, ["shipment_dispatched"], "what is done holds up no other");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_take_at_the_same_time_take_different_messages() {
    let mut shop = Shop::new().await;
    for _ in 0..20 {
        shop.hear(placed(OrderId::new())).await;
    }
    let (one, two) = tokio::join!(shop.take(), shop.take());
    let mut taken: Vec<_> = one.iter().chain(&two).map(|due| due.id).collect();
    taken.sort();
    taken.dedup();
    assert_eq!((taken.len(), one.len() + two.len()), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_can_not_be_recorded_holds_up_the_record_of_no_other_and_stays_leased() {
    let (mut shop, refused) = Shop::with_an_order().await;
    for _ in 0..7 {
        shop.hear(placed(OrderId::new())).await;
    }
    shop.db
        .run("create function refuse() returns trigger language plpgsql as $$ begin raise 'not this one'; end $$")
        .await;
    let refuse = format!(
        "create trigger refuse before update on notifications for each row \
         when (new.status = 'sent' and new.order_id = '{refused}') execute function refuse()"
    );
    shop.db.run(&refuse).await;
    let (server, _) = server(vec![Ok(()); 8]);
    let worker = Running::start(|stop| Worker::new("mail", deliveries(&shop, server), 8).run(stop));
    eventually("the others are recorded", Duration::from_secs(30), async || shop.said().await.len() == 7).await;
    worker.end().await;
    let told = shop.messages().await;
    let queued: Vec<_> = told.iter().filter(|message| message.status == "queued").collect();
    assert_eq!(queued.iter().map(|message| message.order_id).collect::<Vec<_>>(), [refused.0]);
    assert!(shop.take().await.is_empty(), "it is sent again when its lease ends");
}
