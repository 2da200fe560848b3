//! `orders.v1` and `stock.v1` are deleted and created anew with 100 orders half way, and rebuilt as the README of
//! `outbox-relay` has it: all are completed, charged once, and no event lacks in any topic.
//!
//! It needs Apache Kafka, which it starts: topics are deleted under their consumers, which are left running. They are
//! found in every state that there is: order-svc and notification-svc hear on, payment-svc hangs all the while, stock-svc
//! is stopped, since its relay is embedded. The broker was started again before, so that the epochs of the new topics'
//! leaders are lower than those that the consumers know.

mod by_hand;
mod checks;
mod kafka_topics;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use quadrille::api::{Api, OrderDraft, text};
use quadrille::records::Record;
use quadrille::service::Service;
use quadrille_servers::process::{Identity, ServerProcess};
use quadrille_servers::{Durability, Kafka, kafka};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::{by_hand::ByHand, checks::Checks};
use crate::accept::events;
use crate::accept::points::until;
use crate::shop::Shop;

const LOST: [&str; 2] = ["orders.v1", "stock.v1"];
const SKU: &str = "ACCEPT-TOPICS-LOST";
/// How many orders stop at each of four places.
const A_QUARTER: usize = 25;
const STOP_PATIENCE: Duration = Duration::from_secs(15);

pub(in crate::accept) async fn try_out(binary: &Path, data: &Path) -> anyhow::Result<String> {
    let folder = data.join("topics-lost");
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?; // PostgreSQL's user goes through it
    let mut options =
        kafka::Options { folder: folder.join("kafka"), port: None, durability: Durability::Real, jars: None };
    let node = Kafka::start(&options).await?;
    options.port = Some(node.port());
    let by_hand = [Service::OrderSvc, Service::StockSvc, Service::OutboxRelay];
    let mut arguments = vec!["--kafka".to_owned(), node.bootstrap()];
    arguments.extend(by_hand.iter().flat_map(|service| ["--without".to_owned(), service.name().to_owned()]));
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let mut shop = Shop::start(binary, &folder, &arguments).await?;
    let by_hand = ByHand::new(binary, &shop)?;
    let staff = Staff {
        orders: by_hand.service(Service::OrderSvc, "external")?,
        stock: by_hand.service(Service::StockSvc, "embedded")?,
        relay: by_hand.relay()?,
    };
    staff.must_be_ready(&shop.api).await?;
    // order-svc answers once it has read the catalogue's topic
    until(|| async { shop.api.is_unknown_to_orders(SKU).await.map(drop) }).await?;
    shop.api.add_product(SKU, 1000).await?;
    node.stop(STOP_PATIENCE).await?;
    let node = Kafka::start(&options).await?;

    let (figures, staff) =
        Loss { shop: &shop, by_hand: &by_hand, topics: node.bootstrap() }.and_recovery(staff).await?;
    staff.stop().await?;
    shop.stop().await?;
    node.stop(STOP_PATIENCE).await?;
    Ok(figures)
}

/// What runs beside `quadrille up`, since it is stopped and started on the way.
struct Staff {
    orders: ServerProcess,
    stock: ServerProcess,
    /// The relay of order-svc's database.
    relay: ServerProcess,
}

impl Staff {
    async fn must_be_ready(&self, api: &Api) -> anyhow::Result<()> {
        for (service, process) in
            [(Service::OrderSvc, &self.orders), (Service::StockSvc, &self.stock), (Service::OutboxRelay, &self.relay)]
        {
            until(|| api.must_be_ready(service)).await.with_context(|| process.last_words())?;
        }
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<()> {
        for process in [self.orders, self.stock, self.relay] {
            end(process).await?;
        }
        Ok(())
    }
}

async fn end(process: ServerProcess) -> anyhow::Result<()> {
    process.stop(Signal::SIGTERM, STOP_PATIENCE, Signal::SIGKILL).await
}

/// The shop that loses its topics.
struct Loss<'a> {
    shop: &'a Shop,
    by_hand: &'a ByHand,
    /// The bootstrap address of their broker.
    topics: String,
}

impl Loss<'_> {
    async fn and_recovery(&self, staff: Staff) -> anyhow::Result<(String, Staff)> {
        let first = self.place(1).await?;
        self.shop.api.wait_for_all(&first, "confirmed").await.context("an order of the time before")?;
        let (gateway, payments) = (self.shop.process("sandbox-gateway")?, self.shop.process("payment-svc")?);
        let (mut ids, orders) = self.half_way(staff, &gateway, &payments).await?;
        let (open, before) = (ids.len(), events::all(&self.topics, &LOST).await?);
        ids.extend(first);
        let placed = before.iter().filter(|event| event.event_type == "order.placed.v1").count();
        ensure!(placed == ids.len() - A_QUARTER, "{placed} of {} orders were published", ids.len());

        self.lose_both().await?;
        let took = self.rebuild_both(&before).await?;
        let staff =
            Staff { orders, stock: self.by_hand.service(Service::StockSvc, "embedded")?, relay: self.by_hand.relay()? };
        payments.signal(Signal::SIGCONT);
        gateway.signal(Signal::SIGCONT);
        staff.must_be_ready(&self.shop.api).await?;
        complete(&self.shop.api, &ids).await?;
        let checked = Checks { shop: self.shop, by_hand: self.by_hand, ids: &ids }.all(&self.topics, &before).await?;
        let figures = format!(
            "{open} orders half way, {} events lost and sent again in {:.1} s; all completed, charged once; {checked}",
            before.len(),
            took.as_secs_f64()
        );
        Ok((figures, staff))
    }

    /// A quarter of the orders waits for the gateway, one for payment-svc, one for stock-svc, and one is not published.
    /// Both relays are stopped then, and order-svc goes on.
    async fn half_way(
        &self,
        staff: Staff,
        gateway: &Identity,
        payments: &Identity,
    ) -> anyhow::Result<(Vec<String>, ServerProcess)> {
        let Staff { orders, stock, relay } = staff;
        gateway.signal(Signal::SIGSTOP);
        let mut ids = self.place(A_QUARTER).await?;
        self.paying(&ids).await.context("orders whose payment is under way")?;
        payments.signal(Signal::SIGSTOP);
        let reserved = self.place(A_QUARTER).await?;
        self.reserved(&reserved).await.context("orders whose goods are reserved, which payment-svc hasn't heard")?;
        ids.extend(reserved);
        end(stock).await?;
        ids.extend(self.place(A_QUARTER).await?);
        self.in_their_topic(&ids).await?;
        end(relay).await?;
        ids.extend(self.place(A_QUARTER).await?);
        Ok((ids, orders))
    }

    /// One is there again at once, the other when who hears it has let go of it.
    async fn lose_both(&self) -> anyhow::Result<()> {
        kafka_topics::delete(&self.topics, "orders.v1").await?;
        self.by_hand.create_topics(&["orders.v1"]).await?;
        kafka_topics::delete(&self.topics, "stock.v1").await?;
        until(|| self.is_missed_by(Service::OrderSvc, "stock.v1")).await?;
        self.by_hand.create_topics(&["stock.v1"]).await
    }

    /// Sends again what was in the topics `before`; how long that took.
    async fn rebuild_both(&self, before: &[Record]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for (service, topic) in [(Service::OrderSvc, "orders.v1"), (Service::StockSvc, "stock.v1")] {
            let events: BTreeSet<_> =
                before.iter().filter(|event| event.topic == topic).map(|event| &event.id).collect();
            self.by_hand.republish(service, topic, events.len()).await?;
        }
        Ok(began.elapsed())
    }

    async fn place(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut placing = JoinSet::new();
        for _ in 0..count {
            let api = self.shop.api.clone();
            placing.spawn(async move { api.place(&OrderDraft { sku: SKU, ..OrderDraft::default() }).await });
        }
        placing.join_all().await.into_iter().collect()
    }

    /// Waits until the gateway was asked for all of them, or is about to be.
    async fn paying(&self, ids: &[String]) -> anyhow::Result<()> {
        let of = |id: String| async move {
            let found = self.shop.api.all(Service::PaymentSvc, &format!("/api/v1/payments?order_id={id}&")).await?;
            ensure!(
                found.iter().any(|payment| payment["status"] == "authorizing"),
                "order {id} has payments {found:?}"
            );
            Ok(())
        };
        for id in ids {
            until(|| of(id.clone())).await?;
        }
        Ok(())
    }

    /// Waits until order-svc has heard of it.
    async fn reserved(&self, ids: &[String]) -> anyhow::Result<()> {
        let of = |id: String| async move {
            let order = self.shop.api.order(&id).await?;
            ensure!(order["stock"] == "reserved", "order {id}: {order}");
            Ok(())
        };
        for id in ids {
            until(|| of(id.clone())).await?;
        }
        Ok(())
    }

    /// Waits until all of them are in `orders.v1`.
    async fn in_their_topic(&self, ids: &[String]) -> anyhow::Result<()> {
        until(|| async {
            let told = events::all(&self.topics, &["orders.v1"]).await?;
            let told: BTreeSet<_> = told.iter().map(|event| event.key.as_str()).collect();
            let missing = ids.iter().filter(|id| !told.contains(id.as_str())).count();
            ensure!(missing == 0, "{missing} orders are not in orders.v1");
            Ok(())
        })
        .await
    }

    /// A service says that it hears the topic, and that it isn't there.
    async fn is_missed_by(&self, service: Service, topic: &str) -> anyhow::Result<()> {
        let (status, said) = self.shop.api.ask(Method::GET, service, "/readyz", None).await?;
        ensure!(said.to_string().contains(topic), "{} is {status} without {topic}: {said}", service.name());
        Ok(())
    }
}

/// Every order is sent off, arrives and is completed.
async fn complete(api: &Api, ids: &[String]) -> anyhow::Result<()> {
    api.wait_for_all(ids, "confirmed").await?;
    let mut shipping = JoinSet::new();
    for id in ids {
        let (api, id) = (api.clone(), id.clone());
        shipping.spawn(async move {
            let shipment = api.shipment_of(&id).await?;
            api.ship(&shipment, "dispatch", &json!({"carrier": "An Post", "tracking_number": id})).await?;
            api.wait_for(&id, "shipped").await?;
            api.ship(&shipment, "deliver", &json!({})).await?;
            api.wait_for(&id, "completed").await
        });
    }
    for done in shipping.join_all().await {
        let order: Value = done?;
        ensure!(order["waiting_for"].is_null(), "order {} is completed and waits", text(&order, "id")?);
    }
    Ok(())
}
