//! Topics as they were, in a broker that has just been started and keeps nothing: each database sends again what is in its
//! archive. Consumers read it from the beginning, and their inboxes absorb what they know. Nobody may relay meanwhile:
//! what is pending comes after.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use outbox_relay::RelayConfig;
use outbox_relay::republish::{self, Archived, Led, Stopped, Window};
use service_kit::config::{DatabaseConfig, Reader, vars};
use service_kit::{Pool, pool};
use shared_events::Topic;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{plan::Plan, service::Service, topics};

/// In the data folder: which kind of broker the last run had.
const LAST_BROKER: &str = "last-broker";
const EMBEDDED: &str = "embedded";
/// A relay that was killed leads for a moment still.
const A_MOMENT: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_secs(1);
const TELL_AGAIN: Duration = Duration::from_secs(30);

/// Whether the run before had the embedded broker, so that what it published is in archives only.
pub(crate) fn last_was_embedded(data: &Path) -> bool {
    fs::read_to_string(data.join(LAST_BROKER)).is_ok_and(|last| last.trim() == EMBEDDED)
}

/// Notes which kind of broker this run has.
pub(super) fn note_broker(data: &Path, embedded: bool) -> anyhow::Result<()> {
    let file = data.join(LAST_BROKER);
    let kind = if embedded { EMBEDDED } else { "kafka" };
    fs::write(&file, kind).with_context(|| format!("writing {}", file.display()))
}

/// Sends every archive again. Returns how many events that were.
pub(super) async fn topics(plan: &Plan, stop: &CancellationToken) -> anyhow::Result<u64> {
    let here: BTreeSet<_> = topics::all().into_iter().map(|topic| topic.name).collect();
    let mut sent = 0;
    for service in Service::WITH_OUTBOX {
        let Some(url) = plan.database_url(service) else { continue };
        let relay = RelayConfig::new(service.name(), url.into(), plan.kafka.clone()).trace_header("ce_traceparent");
        let sending = database(&relay, &here, stop).await;
        sent += sending.with_context(|| format!("sending again what {} had published", service.name()))?;
    }
    Ok(sent)
}

async fn database(relay: &RelayConfig, here: &BTreeSet<String>, stop: &CancellationToken) -> anyhow::Result<u64> {
    let Archived { topics, lacks_some } = republish::archived(relay).await?;
    if lacks_some {
        tracing::warn!(
            "{} has published events of which it kept nothing, to another broker: an order that was under way there stays \
             where it is here (`quadrille up --kafka` goes on with it)",
            relay.name
        );
    }
    let mut sent = 0;
    for topic in topics {
        // the present of each key is announced anew by who owns it
        if Topic::from_name(&topic).is_some_and(Topic::compacted) {
            continue;
        }
        if !here.contains(&topic) {
            tracing::warn!(
                "{} has events of {topic} in its archive, which is no topic of the shop: left out",
                relay.name
            );
            continue;
        }
        let oldest = Utc::now() - republish::remembered(relay, &topic).await?;
        warn_of_older(relay, &topic, oldest).await?;
        // What has grown too old since is a matter of seconds, which are to spare.
        let window = Window { from: Some(oldest), incomplete: true, older: true, ..Window::whole(topic) };
        match once_nobody_leads(relay, &window, stop).await {
            Ok(rows) => sent += rows,
            Err(error) if error.is::<Stopped>() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

async fn warn_of_older(relay: &RelayConfig, topic: &str, oldest: DateTime<Utc>) -> anyhow::Result<()> {
    let window = Window { to: Some(oldest), incomplete: true, ..Window::whole(topic) };
    let (older, _) = republish::look(relay, &window).await?;
    for span in older {
        tracing::warn!(
            "{} events of {topic} were published before {oldest:.0}, longer ago than consumers remember what they have \
             heard: they are not sent again",
            span.rows
        );
    }
    Ok(())
}

/// Sends a window again. Where a relay leads, which can only be one that was started by hand, it waits for its end: that
/// one's newer events would come before these.
async fn once_nobody_leads(relay: &RelayConfig, window: &Window, stop: &CancellationToken) -> anyhow::Result<u64> {
    let (began, mut told) = (Instant::now(), None::<Instant>);
    loop {
        match republish::send_again(relay, window, stop).await {
            Err(error) if error.is::<Led>() => {
                let long = began.elapsed() >= A_MOMENT && told.is_none_or(|told| told.elapsed() >= TELL_AGAIN);
                if long {
                    told = Some(Instant::now());
                    tracing::warn!("{error:#}; the topics are rebuilt once it has ended");
                }
            }
            sent => return sent,
        }
        if stop.run_until_cancelled(sleep(ASK_AGAIN)).await.is_none() {
            return Ok(0);
        }
    }
}

/// Has the whole catalogue announced again: `products.v1` tells the present of each product, not its past.
pub(super) async fn catalogue(plan: &Plan) -> anyhow::Result<()> {
    let Some(pool) = pool_of(plan, Service::StockSvc).await? else { return Ok(()) };
    let mut after = None;
    while let Some(last) = stock_svc::commands::reannounce(&pool, after.as_ref()).await?.last {
        after = Some(last);
    }
    Ok(())
}

/// Has all customers announced again: `customers.v1` tells the present of each of them, not their past.
pub(super) async fn customers(plan: &Plan) -> anyhow::Result<()> {
    let Some(pool) = pool_of(plan, Service::OrderSvc).await? else { return Ok(()) };
    let mut after = None;
    while let Some(last) = order_svc::commands::reannounce(&pool, after.as_ref()).await?.last {
        after = Some(last);
    }
    Ok(())
}

async fn pool_of(plan: &Plan, service: Service) -> anyhow::Result<Option<Pool>> {
    let Some(url) = plan.database_url(service) else { return Ok(None) };
    let config = Reader::from_env().with(&vars::DATABASE_URL, url).whole(DatabaseConfig::read)?;
    Ok(Some(pool::open(&config).await?))
}
