//! An order goes all the way, every event is in its topic, every mail in the folder; and how long `confirmed` takes.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;
use quadrille::api::{OrderDraft, PATIENCE, text};
use serde_json::json;
use tokio::time::sleep;

use crate::{accept::events, shop::Shop};

/// Topic and type.
const EVENTS: [(&str, &str); 11] = [
    ("orders.v1", "order.placed.v1"),
    ("stock.v1", "stock.reserved.v1"),
    ("payments.v1", "payment.authorized.v1"),
    ("orders.v1", "order.confirmed.v1"),
    ("stock.v1", "stock.committed.v1"),
    ("payments.v1", "payment.captured.v1"),
    ("shipments.v1", "shipment.created.v1"),
    ("shipments.v1", "shipment.dispatched.v1"),
    ("shipments.v1", "shipment.delivered.v1"),
    ("orders.v1", "order.completed.v1"),
    ("notifications.v1", "notification.sent.v1"),
];
/// Placed, confirmed, dispatched, delivered.
const MAILS: usize = 4;
const SAMPLES: usize = 50;

pub(in crate::accept) async fn try_out(shop: &Shop) -> anyhow::Result<String> {
    let api = &shop.api;
    let addresses = shop.addresses()?;
    let order = api.place(&OrderDraft { quantity: 2, ..OrderDraft::default() }).await?;
    let confirmed = api.wait_for(&order, "confirmed").await?;
    if confirmed["total"] != json!({"amount": 2598, "currency": "EUR"}) {
        bail!("two at 12.99 EUR cost {}", confirmed["total"]);
    }
    let shipment = api.shipment_of(&order).await?;
    api.ship(&shipment, "dispatch", &json!({"carrier": "An Post", "tracking_number": "CE123456789IE"})).await?;
    api.wait_for(&order, "shipped").await?;
    api.ship(&shipment, "deliver", &json!({})).await?;
    api.wait_for(&order, "completed").await?;
    let events = events::of_key(&addresses.kafka, &order, &EVENTS).await?;
    let mails = mails_of(shop, &order, &addresses.mails).await?;
    let (p50, worst) = times_to_confirmed(shop).await?;
    Ok(format!(
        "{} events in 5 topics, {mails} mails; confirmed after {:.0} ms (p50) and {:.0} ms (worst) of {SAMPLES}",
        events.len(),
        p50.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3
    ))
}

async fn mails_of(shop: &Shop, order: &str, folder: &Path) -> anyhow::Result<usize> {
    let until = Instant::now() + PATIENCE;
    loop {
        let sent = shop.api.notifications(order).await?;
        let sent: Vec<_> = sent.iter().filter(|notification| notification["status"] == "sent").collect();
        let ids = sent.iter().map(|notification| text(notification, "id")).collect::<anyhow::Result<Vec<_>>>()?;
        let files = fs::read_dir(folder)?.filter_map(|entry| fs::read(entry.ok()?.path()).ok()).collect::<Vec<_>>();
        // the Message-ID is the notification's id
        let in_folder =
            ids.iter().filter(|id| files.iter().any(|file| String::from_utf8_lossy(file).contains(*id))).count();
        if in_folder == MAILS && ids.len() == MAILS {
            return Ok(MAILS);
        }
        if Instant::now() >= until {
            bail!("{} notifications sent and {in_folder} mails in {}, expected {MAILS}", ids.len(), folder.display());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn times_to_confirmed(shop: &Shop) -> anyhow::Result<(Duration, Duration)> {
    let mut times = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        let began = Instant::now();
        let order = shop.api.place(&OrderDraft::default()).await?;
        shop.api.wait_for(&order, "confirmed").await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[SAMPLES / 2], times[SAMPLES - 1]))
}
