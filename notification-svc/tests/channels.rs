//! Who is told by which channel, on a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use notification_svc::delivery::{Deliveries, Message, Sender, Sending};
use notification_svc::domain::{Channel, SendError, Writer};
use service_kit::consumer::{Outcome, Why};
use service_kit::external_calls::ExternalCalls;
use shared_events::{Channels, CustomerChanged, CustomerForgotten, Language, MessagePreferences, OrderId};

fn told(template: &str, channel: &str, status: &str) -> (String, String, String) {
    (template.to_owned(), channel.to_owned(), status.to_owned())
}

/// Hears of an order that was placed, confirmed and dispatched.
async fn dispatched_order(shop: &mut Shop) -> OrderId {
    let order = OrderId::new();
    shop.hear(placed(order)).await;
    shop.hear(confirmed(order)).await;
    shop.hear(dispatched(order)).await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn each_channel_that_the_customer_wants_gets_one_message_in_their_language() {
    let mut shop = Shop::new().await;
    assert_eq!(shop.hear(profile(&["email", "sms", "push"])).await, Outcome::Applied);
    let order = dispatched_order(&mut shop).await;
    let expected = [
        told("order_placed", "email", "queued"),
        told("order_confirmed", "email", "queued"),
        told("shipment_dispatched", "email", "queued"),
        told("shipment_dispatched", "sms", "queued"),
        told("shipment_dispatched", "push", "queued"),
    ];
    assert_eq!(shop.told_by().await, expected);
    let messages = shop.messages().await;
    assert_eq!(messages[0].subject.as_deref(), Some(format!("Wir haben Ihre Bestellung {order}").as_str()));
    assert!(messages[0].body.as_ref().unwrap().starts_with("Guten Tag Ann Lee,\n"), "{:?}", messages[0].body);
    let [.., text, push] = &messages[..] else { panic!("{}", messages.len()) };
    let short = format!("Ein Paket der Bestellung {order} ist unterwegs: An Post CE1");
    assert_eq!((text.recipient.as_deref(), text.subject.as_deref()), (Some("+353861234567"), None));
    assert_eq!(
        (push.recipient.as_deref(), push.subject.as_deref()),
        (Some("device-1"), Some("Ihr Paket ist unterwegs"))
    );
    assert!([text, push].iter().all(|message| message.body.as_ref() == Some(&short)), "{:?}", text.body);
    let html: Vec<String> = shop.db.rows("select html from html_letters").await;
    assert_eq!(html.len(), 3, "mails alone have HTML");
    assert!(html.iter().all(|html| html.contains("<html lang=\"de\">")));
}

#[tokio::test(flavor = "multi_thread")]
async fn race_delivered_twice_makes_no_second_message_by_any_channel_even_after_the_customer_wants_another() {
    let mut shop = Shop::new().await;
    shop.hear(profile(&["email", "sms"])).await;
    let order = dispatched_order(&mut shop).await;
    let record = shop.says(dispatched(order));
    shop.hears(&record).await;
    shop.inbox_forgets().await;
    shop.hear(profile(&["push"])).await;
    let before = shop.told_by().await;
    assert_eq!(shop.hears(&record).await, Outcome::Duplicate);
    assert_eq!(shop.told_by().await, before);
    assert_eq!(before.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_customer_wants_counts_from_when_it_is_heard_and_the_newest_counts() {
    let mut shop = Shop::new().await;
    let (first, second) = (shop.says(profile(&["sms"])), shop.says(profile(&["push"])));
    assert_eq!(shop.hears(&second).await, Outcome::Applied);
    assert_eq!(shop.hears(&first).await, Outcome::Ignored(Why::Stale));
    assert_eq!(shop.hears(&second).await, Outcome::Ignored(Why::Stale), "the topic is read from its beginning again");
    dispatched_order(&mut shop).await;
    let before = shop.told_by().await;
    assert_eq!(before[2], told("shipment_dispatched", "push", "queued"));
    shop.hear(CustomerChanged { language: Language::En, ..profile(&["sms"]) }).await;
    assert_eq!(shop.told_by().await, before, "what was made stays as it is");
    let order = dispatched_order(&mut shop).await;
    let last = shop.messages().await.pop().unwrap();
    assert_eq!((last.channel.as_str(), last.order_id), ("sms", order.0));
    assert!(last.body.unwrap().starts_with("A parcel of order"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_is_forgotten_leaves_no_profile_and_is_brought_back_by_no_older_event() {
    let mut shop = Shop::new().await;
    let customer = profile(&["sms"]);
    let record = shop.says(customer.clone());
    shop.hears(&record).await;
    shop.hear(CustomerForgotten { customer_id: customer.customer_id.clone() }).await;
    shop.hears(&record).await;
    let kept: Vec<serde_json::Value> = shop.db.rows("select to_jsonb(profiles) from profiles").await;
    let nothing = serde_json::json!({
        "customer_id": customer.customer_id, "sequence": 2, "phone": null, "push_token": null, "language": "en", "messages": null,
    });
    assert_eq!(kept, [nothing]);
    dispatched_order(&mut shop).await;
    assert!(shop.told_by().await.iter().all(|(_, channel, _)| channel == "email"));
    assert_eq!(shop.hear(customer).await, Outcome::Applied, "they may come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_shop_does_not_offer_goes_by_mail_once() {
    let mut shop = Shop::writing(Writer::new().unwrap().offering(Channel::Push)).await;
    shop.hear(profile(&["email", "sms"])).await;
    shop.hear(placed(OrderId::new())).await;
    dispatched_order(&mut shop).await;
    assert!(shop.told_by().await.iter().all(|(_, channel, _)| channel == "email"));
    assert_eq!(shop.told_by().await.len(), 4);
    shop.hear(CustomerChanged { push_token: None, ..profile(&["push"]) }).await;
    dispatched_order(&mut shop).await;
    assert_eq!(shop.told_by().await[6], told("shipment_dispatched", "email", "queued"), "no device is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_before_the_order_goes_by_the_channels_that_its_customer_wants() {
    let mut shop = Shop::new().await;
    let nothing = Channels::try_from(vec![]).unwrap();
    let parcels = Channels::try_from(vec![shared_events::Channel::Sms, shared_events::Channel::Push]).unwrap();
    let messages = MessagePreferences::new(Channels::default(), nothing, parcels).unwrap();
    shop.hear(CustomerChanged { messages, ..profile(&[]) }).await;
    let order = OrderId::new();
    let first = shop.says(placed(order));
    shop.hear(dispatched(order)).await;
    shop.hear(refunded(order, 100, 2498)).await;
    shop.hears(&first).await;
    let mut told_by = shop.told_by().await;
    told_by.sort();
    let expected = [
        told("order_placed", "email", "queued"),
        told("payment_refunded", "email", "suppressed"),
        told("shipment_dispatched", "push", "queued"),
        told("shipment_dispatched", "sms", "queued"),
    ];
    assert_eq!(told_by, expected);
    let said = shop.said().await;
    assert!(matches!(&said[..], [one] if one.type_name() == "notification.suppressed.v1"), "{said:?}");
    shop.hear(refunded(order, 200, 2298)).await;
    assert_eq!(shop.told_by().await.len(), 4, "nothing of money is wanted");
}

/// Sends everything, unless it is away.
#[derive(Clone, Default)]
struct Provider(Arc<AtomicBool>);

impl Sender for Provider {
    fn send(&self, _: Message) -> Sending {
        let away = self.0.load(Ordering::SeqCst);
        Box::pin(async move { if away { Err(SendError::unavailable("can't connect")) } else { Ok(()) } })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_channels_outage_holds_up_no_message_of_another_and_each_keeps_its_order() {
    let mut shop = Shop::new().await;
    shop.hear(profile(&["email", "sms"])).await;
    let order = dispatched_order(&mut shop).await;
    let delivered = shared_events::ShipmentDelivered { order_id: order, shipment_id: dispatched(order).shipment_id };
    shop.hear(delivered).await;
    let (mail, sms) = (Provider::default(), Provider::default());
    mail.0.store(true, Ordering::SeqCst);
    let by = |channel, provider: &Provider| {
        Deliveries::new(shop.db.pool.clone(), channel, Arc::new(provider.clone()), || {})
    };
    let (mails, texts) = (by(Channel::Email, &mail), by(Channel::Sms, &sms));
    let mut sent = Vec::new();
    for _ in 0..3 {
        for deliveries in [&mails, &texts] {
            let due = deliveries.take(100).await.unwrap();
            sent.extend(due.iter().map(|due| (due.template.clone(), due.recipient.clone())));
            Shop::performs(deliveries, due).await;
        }
    }
    let texts_sent: Vec<_> = sent.iter().filter(|(_, to)| to.starts_with('+')).map(|(template, _)| template).collect();
    assert_eq!(texts_sent, ["shipment_dispatched", "shipment_delivered"]);
    assert!(mails.server().outage().is_some() && texts.server().outage().is_none());
    mail.0.store(false, Ordering::SeqCst);
    let mut left = Vec::new();
    for _ in 0..4 {
        let due = mails.take(100).await.unwrap();
        left.extend(due.iter().map(|due| due.template.clone()));
        Shop::performs(&mails, due).await;
    }
    assert_eq!(left, ["order_placed", "order_confirmed", "shipment_dispatched", "shipment_delivered"]);
    let said = shop.said().await;
    assert_eq!(said.len(), 6, "each is announced with its channel");
    let channels = said.iter().map(|event| match event {
        shared_events::Event::Notification(shared_events::NotificationEvent::Sent(sent)) => sent.channel.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(channels.filter(|channel| *channel == "sms").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_costs_an_order_no_statement() {
    use service_kit::consumer::testing::react_to_all;
    use service_kit::testing::Statements;
    let mut counts = Vec::new();
    for with_profile in [false, true] {
        let mut shop = Shop::new().await;
        if with_profile {
            shop.hear(profile(&["email"])).await;
        }
        let order = OrderId::new();
        let records = [shop.says(placed(order)), shop.says(confirmed(order))];
        let conn = &mut *shop.db.conn().await;
        let statements = Statements::of(conn);
        for record in records {
            react_to_all(conn, &shop.reactions, &[record]).await.unwrap();
        }
        counts.push(statements.take().len());
    }
    assert_eq!(counts[0], counts[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_no_longer_true_is_told_by_no_channel_and_a_true_one_by_all() {
    let mut shop = Shop::new().await;
    let order = OrderId::new();
    let changed = |line1: &str| shared_events::OrderAddressChanged {
        order_id: order,
        delivery_address: quadrille_testing::address(line1),
    };
    shop.hear(placed(order)).await;
    shop.hear(changed("2 Quay St")).await;
    let both = Channels::try_from(vec![shared_events::Channel::Push, shared_events::Channel::Sms]).unwrap();
    let messages = MessagePreferences::new(both, Channels::default(), Channels::default()).unwrap();
    shop.hear(CustomerChanged { messages, ..profile(&[]) }).await;
    shop.hear(changed("3 Quay St")).await;
    shop.takes_and_sends().await;
    let mut untrue = Vec::new();
    for channel in Channel::ALL {
        untrue.extend(shop.take_by(channel).await.iter().map(|due| (channel, due.untrue())));
    }
    let superseded = Some(shared_events::SuppressReason::Superseded);
    assert_eq!(untrue, [(Channel::Email, superseded), (Channel::Sms, None), (Channel::Push, None)]);
}
