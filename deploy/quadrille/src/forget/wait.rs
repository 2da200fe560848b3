//! Waits until every service has heard that the customer is forgotten.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use serde::Deserialize;
use service_kit::consumer::Subscription;
use shared_events::Topic;
use tokio::time::sleep;

use super::shop::Shop;
use crate::audit::sql::Snapshot;
use crate::cluster::Cluster;
use crate::records;
use crate::service::Service;

/// Whoever keeps anything of a person, and what it hears.
fn hearers() -> [(Service, Vec<Subscription>); 3] {
    [
        (Service::StockSvc, stock_svc::reactions::subscriptions()),
        (Service::PaymentSvc, payment_svc::reactions::subscriptions()),
        (Service::NotificationSvc, notification_svc::reactions::subscriptions()),
    ]
}

const POLL: Duration = Duration::from_millis(200);
const PROGRESS: Duration = Duration::from_secs(5);

type Ends = HashMap<(String, i32), i64>;

#[derive(Deserialize)]
struct Last {
    last: Option<i64>,
}

#[derive(Deserialize)]
struct Waiting {
    waiting: i64,
}

#[derive(Deserialize)]
struct Position {
    topic: String,
    partition: i32,
    position: i64,
}

/// Waits until what order-svc has said is published and each service has come past it. Says who hasn't, once that takes too
/// long; nobody, if all have.
pub(super) async fn until_heard(shop: &Shop, patience: Duration) -> anyhow::Result<Vec<String>> {
    let (until, mut told) = (Instant::now() + patience, Instant::now());
    let mut behind = published(shop, until).await?;
    if !behind.is_empty() {
        return Ok(behind);
    }
    let ends = ends(shop.cluster()).await?;
    loop {
        behind.clear();
        for (service, heard) in hearers() {
            let left = left_to_hear(shop, service, &heard, &ends).await?;
            if left > 0 {
                behind.push(format!("{} has {left} events to hear", service.name()));
            }
        }
        if behind.is_empty() || Instant::now() >= until {
            return Ok(behind);
        }
        tell(&mut told, until, &behind)?;
        sleep(POLL).await;
    }
}

fn tell(told: &mut Instant, until: Instant, behind: &[String]) -> std::io::Result<()> {
    if told.elapsed() >= PROGRESS {
        *told = Instant::now();
        let left = until.saturating_duration_since(*told).as_secs();
        writeln!(std::io::stderr(), "waiting, {left} s more: {}", behind.join(", "))?;
    }
    Ok(())
}

/// Waits until order-svc's outbox has published what is in it now.
async fn published(shop: &Shop, until: Instant) -> anyhow::Result<Vec<String>> {
    let mut told = Instant::now();
    let mut snapshot = shop.snapshot(Service::OrderSvc).await?;
    let last = snapshot.rows::<Last>("select max(id) as last from outbox").await?;
    let Some(last) = last.into_iter().find_map(|row| row.last) else { return Ok(Vec::new()) };
    loop {
        snapshot.close().await?;
        snapshot.open().await?;
        let rest = format!("select count(*) as waiting from outbox where id <= {last}");
        let waiting: i64 = snapshot.rows::<Waiting>(&rest).await?.iter().map(|row| row.waiting).sum();
        if waiting == 0 {
            return Ok(Vec::new());
        }
        let behind = vec![format!("order-svc's relay has {waiting} events to publish")];
        if Instant::now() >= until {
            return Ok(behind);
        }
        tell(&mut told, until, &behind)?;
        sleep(POLL).await;
    }
}

/// Where the topics end that tell of people.
async fn ends(cluster: &Cluster) -> anyhow::Result<Ends> {
    let cluster = cluster.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let connection = cluster.connect("quadrille-forget")?;
        let places = records::places(&connection, &[Topic::Orders.name(), Topic::Customers.name()])?;
        connection.offsets(&places, Offset::End)
    });
    asked.await?
}

/// How many events the service has not come past.
async fn left_to_hear(shop: &Shop, service: Service, heard: &[Subscription], ends: &Ends) -> anyhow::Result<i64> {
    let mut snapshot: Snapshot = shop.snapshot(service).await?;
    let positions =
        format!("select topic, partition, position from consumer_progress where consumer = '{}'", service.name());
    let positions: Vec<Position> = snapshot.rows(&positions).await?;
    snapshot.end().await?;
    let come_to: HashMap<_, _> = positions.into_iter().map(|row| ((row.topic, row.partition), row.position)).collect();
    let of_it = ends.iter().filter(|((topic, _), _)| heard.iter().any(|one| one.topic == *topic));
    Ok(of_it.map(|(place, end)| (end - come_to.get(place).copied().unwrap_or_default()).max(0)).sum())
}
