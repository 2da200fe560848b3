//! At the end: every order has ended, money and stock add up, nothing was done twice, nothing is left lying anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use quadrille::api::{Journal, number, text};
use quadrille::service::Service;
use serde_json::Value;

use super::super::{buyer::CUSTOMER, groups, load::Load, shell::a_moment, stack::Stack};

const DRAINED_WITHIN: Duration = Duration::from_secs(60);

/// What was on the shelves before the first order, by SKU.
pub(in crate::compose_test) type Shelves = BTreeMap<String, i64>;

/// Asked before the first order is placed.
pub(in crate::compose_test) async fn shelves(stack: &Stack) -> anyhow::Result<Shelves> {
    let products = stack.api.all(Service::StockSvc, "/api/v1/products?").await?;
    products.iter().map(|product| Ok((text(product, "sku")?, number(product, "on_hand")?))).collect()
}

/// Every order that there is, by id.
pub(in crate::compose_test) async fn orders(stack: &Stack, load: &Load) -> anyhow::Result<String> {
    let all = stack.api.all(Service::OrderSvc, "/api/v1/orders?").await?;
    let book = load.book.all();
    let mut expected = BTreeMap::new();
    for entry in &book {
        expected.insert(entry.id.as_deref().context("an order was never accepted")?, entry.plan);
    }
    ensure!(expected.len() == book.len(), "two of {} orders were given one id", book.len());
    let mut ours = 0;
    for order in &all {
        let (id, status) = (text(order, "id")?, text(order, "status")?);
        ensure!(
            matches!(status.as_str(), "confirmed" | "completed" | "shipped" | "cancelled"),
            "order {id} is {status} and waits for {}",
            order["waiting_for"]
        );
        if order["customer"]["id"] == CUSTOMER {
            let plan = expected.get(id.as_str()).with_context(|| format!("nobody placed order {id}"))?;
            ensure!(plan.end().0 == status, "order {id} is {status} instead of {}", plan.end().0);
            ours += 1;
        }
    }
    ensure!(ours == book.len(), "{} orders were accepted and {ours} are there", book.len());
    Ok(format!("{}; {} others from the documents' curls", load.book.figures(), all.len() - ours))
}

/// The gateway's journal against orders and payments, order by order.
pub(in crate::compose_test) async fn money(stack: &Stack) -> anyhow::Result<String> {
    let journal = stack.api.journal().await?;
    let payments = stack.api.all(Service::PaymentSvc, "/api/v1/payments?").await?;
    let mut by_order = BTreeMap::new();
    for payment in &payments {
        let order = text(payment, "order_id")?;
        ensure!(by_order.insert(order.clone(), payment).is_none(), "order {order} has two payments");
    }
    let (mut paid, mut undone, mut taken) = (0, 0, 0);
    let orders = stack.api.all(Service::OrderSvc, "/api/v1/orders?").await?;
    let mut known = BTreeSet::new();
    for order in &orders {
        let id = text(order, "id")?;
        let nothing = Journal::new();
        let lines = journal.get(&id).unwrap_or(&nothing);
        let sum = |operation: &str| lines.get(operation).map_or(0, |(amount, _)| *amount);
        let total = number(&order["total"], "amount")?;
        if order["status"] == "cancelled" {
            let (held, kept) = (sum("authorise") - sum("capture") - sum("void"), sum("capture") - sum("refund"));
            ensure!(held == 0 && kept == 0, "order {id} was cancelled, but the gateway's journal says {lines:?}");
            undone += usize::from(!lines.is_empty());
        } else {
            ensure!(charged_once(lines, total), "order {id} over {total} isn't charged once: {lines:?}");
            // among the README's curls is a refund by staff
            let of_ours = order["customer"]["id"] == CUSTOMER;
            ensure!(
                !(of_ours && lines.contains_key("refund")),
                "order {id} was refunded, which nobody asked for: {lines:?}"
            );
            paid += 1;
            taken += total;
        }
        ensure!(lines.values().all(|(_, count)| *count == 1), "order {id}: an operation was done twice: {lines:?}");
        let payment = by_order.get(&id).with_context(|| format!("payment-svc knows nothing of order {id}"))?;
        let of_payment = |field: &str| number(&payment[field], "amount").unwrap_or(0);
        let same = of_payment("captured") == sum("capture") && of_payment("refunded") == sum("refund");
        ensure!(same, "order {id}: the gateway's journal says {lines:?}, payment-svc {payment}");
        known.insert(id);
    }
    if let Some(stray) = journal.keys().find(|order| !known.contains(*order)) {
        bail!("the gateway moved money for order {stray}, which nobody placed");
    }
    Ok(format!(
        "{paid} orders charged once, {:.2} EUR in all; {undone} undone ones net to 0; journal and payments agree on all {}",
        f64::from(u32::try_from(taken)?) / 100.0,
        orders.len()
    ))
}

/// Whether all that an order costs was taken at once, and no more than that given back.
fn charged_once(lines: &Journal, total: i64) -> bool {
    let of = |operation: &str| lines.get(operation).copied().unwrap_or_default();
    of("authorise") == (total, 1)
        && of("capture") == (total, 1)
        && of("refund").0 <= total
        && !lines.contains_key("void")
}

/// What was sold against the shelves.
pub(in crate::compose_test) async fn stock(stack: &Stack, before: &Shelves) -> anyhow::Result<String> {
    let mut sold = Shelves::new();
    for order in stack.api.all(Service::OrderSvc, "/api/v1/orders?").await? {
        for line in order["lines"].as_array().into_iter().flatten().filter(|_| order["status"] != "cancelled") {
            *sold.entry(text(line, "sku")?).or_default() += number(line, "quantity")?;
        }
    }
    for product in stack.api.all(Service::StockSvc, "/api/v1/products?").await? {
        let sku = text(&product, "sku")?;
        let was = before.get(&sku).with_context(|| format!("{sku} came later"))?;
        let gone = sold.get(&sku).copied().unwrap_or(0);
        let (on_hand, held) = (number(&product, "on_hand")?, number(&product, "held")?);
        ensure!(on_hand == was - gone, "{sku}: {was} were there and {gone} are sold, but {on_hand} are on hand");
        ensure!(held == 0 && product["available"] == product["on_hand"], "{sku}: {held} are still held");
    }
    let pieces: i64 = sold.values().sum();
    Ok(format!("{pieces} pieces of {} products sold, and gone from the shelves; nothing held", sold.len()))
}

/// Outboxes, dead letters, consumers, mails.
pub(in crate::compose_test) async fn nothing_left(stack: &Stack) -> anyhow::Result<String> {
    let until = Instant::now() + DRAINED_WITHIN;
    while let Err(error) = all_drained(stack).await {
        if Instant::now() >= until {
            return Err(error);
        }
        a_moment().await;
    }
    let failed = stack.api.all(Service::NotificationSvc, "/api/v1/notifications?status=failed&").await?;
    ensure!(failed.is_empty(), "{} mails failed: {}", failed.len(), failed.first().unwrap_or(&Value::Null));
    let mails = stack.api.all(Service::NotificationSvc, "/api/v1/notifications?status=sent&").await?.len();
    Ok(format!(
        "outboxes empty, nothing parked, no dead letters, every consumer group at the end of its topics, {mails} mails sent"
    ))
}

async fn all_drained(stack: &Stack) -> anyhow::Result<()> {
    for service in Service::WITH_OUTBOX {
        let database = service.database().context("a service with an outbox has a database")?;
        for table in ["outbox", "outbox_parked", "dead_letters", "parked_keys"] {
            let rows = stack.sql(database, &format!("select count(*) from {table}")).await?;
            ensure!(rows == "0", "{database}.{table} has {rows} rows");
        }
        let lag = groups::lag(service.name()).await?;
        ensure!(lag == 0, "{} has {lag} records to read", service.name());
    }
    let queued = stack.api.all(Service::NotificationSvc, "/api/v1/notifications?status=queued&").await?;
    ensure!(queued.is_empty(), "{} mails are not sent", queued.len());
    Ok(())
}

/// No container ended by itself, whatever it depends on was killed, and none ran out of memory. `wanted` is the one whose
/// process the test killed.
pub(in crate::compose_test) async fn containers(stack: &Stack, wanted: Option<&str>) -> anyhow::Result<String> {
    let all = stack.containers().await?;
    for container in &all {
        ensure!(container.fact("/State/OOMKilled") == false, "{} ran out of memory", container.service);
        let expected = i64::from(wanted == Some(container.service.as_str()));
        ensure!(container.restarts == expected, "{} ended by itself {} times", container.service, container.restarts);
    }
    Ok(format!("none of {} containers ended by itself or ran out of memory", all.len()))
}
