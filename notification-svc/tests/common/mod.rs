//! What the tests of this service share: a shop that speaks, a database that hears, a look at what was kept and said.
#![allow(dead_code, reason = "shared by several test programs, each of which needs a part")]

use chrono::{DateTime, Duration, Utc};
use notification_svc::commands::record_deliveries::{Tried, record_deliveries};
use notification_svc::delivery::Deliveries;
use notification_svc::domain::{Channel, Verdict, Writer};
use notification_svc::reactions::NotificationReactions;
use notification_svc::store::notifications::{self, Due, Filter, View};
use quadrille_testing::{Others, eur};
pub use quadrille_testing::{OutboxRow, outbox};
use service_kit::consumer::testing::{CONSUMER, NoCopies, react_as};
use service_kit::consumer::{Outcome, Record, Subscription};
use service_kit::external_calls::ExternalCalls;
use service_kit::testing::TestDb;
use shared_events::*;

/// A migrated database, the reactions on it, and the rest of the shop as far as it speaks.
pub struct Shop {
    pub db: TestDb,
    pub reactions: NotificationReactions,
    others: Others,
    clock: DateTime<Utc>,
}

impl Shop {
    /// One that sends by every channel, and gives guests links.
    pub async fn new() -> Self {
        let writer = Writer::new().unwrap().offering(Channel::Sms).offering(Channel::Push);
        Self::writing(writer.with_guest_links(Some("https://shop.example/".parse().unwrap()))).await
    }

    pub async fn writing(writer: Writer) -> Self {
        let db = TestDb::new(&notification_svc::migrations()).await;
        let reactions = NotificationReactions::new(writer, []);
        Self { db, reactions, others: Others::default(), clock: Utc::now() - Duration::hours(1) }
    }

    /// A shop in which an order was placed.
    pub async fn with_an_order() -> (Self, OrderId) {
        let (mut shop, order) = (Self::new().await, OrderId::new());
        shop.hear(placed(order)).await;
        (shop, order)
    }

    /// The event as it would lie in Kafka, said a second after the last.
    pub fn says(&mut self, event: impl Into<Event>) -> Record {
        self.clock += Duration::seconds(1);
        self.others.record_at(event, self.clock)
    }

    /// Has the service hear a record.
    pub async fn hears(&self, record: &Record) -> Outcome {
        let topic = record.place.topic.as_str();
        let subscription = if topic == Topic::Customers.name() {
            Subscription::latest_per_key(topic)
        } else {
            Subscription::inbox(topic)
        };
        react_as(&self.db.pool, CONSUMER, &subscription, &self.reactions, &NoCopies, record).await.unwrap()
    }

    /// Says and hears.
    pub async fn hear(&mut self, event: impl Into<Event>) -> Outcome {
        let record = self.says(event);
        self.hears(&record).await
    }

    /// In the order in which they were made; a list has the newest first.
    pub async fn messages(&self) -> Vec<View> {
        let mut newest_first = notifications::list(&mut *self.db.conn().await, Filter::default(), 100).await.unwrap();
        newest_first.reverse();
        newest_first
    }

    /// Which texts are there and in which status.
    pub async fn told(&self) -> Vec<(String, String)> {
        self.messages().await.into_iter().map(|message| (message.template, message.status)).collect()
    }

    /// Which texts are there, by which channel, and in which status.
    pub async fn told_by(&self) -> Vec<(String, String, String)> {
        let told = self.messages().await.into_iter();
        told.map(|message| (message.template, message.channel, message.status)).collect()
    }

    pub async fn take(&self) -> Vec<Due> {
        self.take_by(Channel::Email).await
    }

    pub async fn take_by(&self, channel: Channel) -> Vec<Due> {
        notifications::take_due(&mut *self.db.conn().await, channel, 100).await.unwrap()
    }

    /// Takes what is due, has it sent, and says which texts that were.
    pub async fn takes_and_sends(&self) -> Vec<String> {
        self.takes_and_sends_by(Channel::Email).await
    }

    pub async fn takes_and_sends_by(&self, channel: Channel) -> Vec<String> {
        let taken = self.take_by(channel).await;
        let tried: Vec<_> = taken.iter().map(|due| Tried { channel, ..sent(due) }).collect();
        record_deliveries(&mut *self.db.conn().await, &tried).await.unwrap();
        taken.into_iter().map(|due| due.template).collect()
    }

    /// Sends each, and records what came of each by itself.
    pub async fn performs(deliveries: &Deliveries, taken: impl IntoIterator<Item = Due>) {
        for due in taken {
            let made = deliveries.make(due).await;
            deliveries.settle(&[made]).await.unwrap();
        }
    }

    /// Lets every lease and every wait end now.
    pub async fn time_passes(&self) {
        self.db.run("update notifications set due_at = now()").await;
    }

    /// Lets the inbox forget, as it does with what is older than it reaches.
    pub async fn inbox_forgets(&self) {
        self.db.run("delete from inbox").await;
    }

    /// What the service said, in order.
    pub async fn said(&self) -> Vec<Event> {
        outbox(&self.db).await.iter().map(OutboxRow::event).collect()
    }
}

/// What the worker would record of a mail that the server has taken.
pub fn sent(due: &Due) -> Tried {
    Tried {
        id: NotificationId(due.id),
        order: OrderId(due.order_id),
        event: due.event_id,
        template: due.template.clone(),
        channel: Channel::Email,
        attempt: due.attempts,
        traceparent: None,
        verdict: Verdict::Sent,
    }
}

pub fn placed(order_id: OrderId) -> OrderPlaced {
    quadrille_testing::placed(order_id, &[("TEA", 2)])
}

pub fn confirmed(order_id: OrderId) -> OrderConfirmed {
    OrderConfirmed { order_id }
}

pub fn cancelled(order_id: OrderId) -> OrderCancelled {
    OrderCancelled::new(order_id, CancelReason::OutOfStock)
}

pub fn action_required(order_id: OrderId) -> PaymentActionRequired {
    let url = Some("https://bank.example.com/3ds".to_owned());
    PaymentActionRequired { order_id, payment_id: PaymentId::new(), deadline: Some(Utc::now()), url }
}

pub fn dispatched(order_id: OrderId) -> ShipmentDispatched {
    let (carrier, tracking_number) = ("An Post".parse().unwrap(), "CE1".parse().unwrap());
    ShipmentDispatched { order_id, shipment_id: ShipmentId::new(), carrier, tracking_number }
}

pub fn refunded(order_id: OrderId, amount: i64, remaining: i64) -> PaymentRefunded {
    PaymentRefunded {
        order_id,
        payment_id: PaymentId::new(),
        refund_id: RefundId::new(),
        amount: eur(amount),
        remaining: eur(remaining),
    }
}

/// Ann Lee's profile, who wants to be told of parcels by these channels.
pub fn profile(shipment: &[&str]) -> CustomerChanged {
    let Customer { id, name, email } = quadrille_testing::customer();
    let channels = serde_json::json!({ "shipment": shipment });
    CustomerChanged {
        customer_id: id,
        name,
        email,
        phone: Some("+353861234567".parse().unwrap()),
        push_token: Some("device-1".parse().unwrap()),
        delivery_address: Some(quadrille_testing::address("1 Quay St")),
        language: Language::De,
        messages: serde_json::from_value(channels).unwrap(),
    }
}
