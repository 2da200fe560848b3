//! Topics as they were, in a broker that has just been started and keeps nothing: each database sends again what is in its
//! archive. Consumers read it from the beginning, and their inboxes absorb what they know. Nobody may relay meanwhile:
//! what is pending comes after.

use anyhow::Context;
use outbox_relay::{
    RelayConfig,
    republish::{self, Archived, Stopped, Window},
};
use service_kit::{
    config::{DatabaseConfig, Reader, vars},
    pool,
};
use shared_events::Topic;
use tokio_util::sync::CancellationToken;

use crate::{plan::Plan, service::Service};

/// Sends every archive again. Says how many events that were.
///
/// # Errors
/// A relay leads one of the databases; a database or the broker fails.
pub(super) async fn topics(plan: &Plan, stop: &CancellationToken) -> anyhow::Result<u64> {
    let mut sent = 0;
    for service in Service::WITH_OUTBOX {
        let Some(url) = plan.database_url(service) else { continue };
        let relay = RelayConfig::new(service.name(), url.into(), plan.kafka.clone()).trace_header("ce_traceparent");
        let sending = database(service, &relay, stop).await;
        sent += sending.with_context(|| format!("sending again what {} had published", service.name()))?;
    }
    Ok(sent)
}

async fn database(service: Service, relay: &RelayConfig, stop: &CancellationToken) -> anyhow::Result<u64> {
    let Archived { topics, lacks_some } = republish::archived(relay).await?;
    if lacks_some {
        tracing::warn!(
            "{} has published events of which it kept nothing, to another broker: an order that was under way there stays \
             where it is here (`quadrille up --kafka` goes on with it)",
            service.name()
        );
    }
    let mut sent = 0;
    for topic in topics {
        // the present of each key is announced anew by who owns it
        if Topic::from_name(&topic).is_some_and(Topic::compacted) {
            continue;
        }
        let window = Window { incomplete: true, ..Window::whole(topic) };
        match republish::send_again(relay, &window, stop).await {
            Ok(rows) => sent += rows,
            Err(error) if error.is::<Stopped>() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Has the whole catalogue announced again: `products.v1` tells the present of each product, not its past.
///
/// # Errors
/// The database fails.
pub(super) async fn catalogue(plan: &Plan) -> anyhow::Result<()> {
    let Some(url) = plan.database_url(Service::StockSvc) else { return Ok(()) };
    let config = Reader::from_env().with(&vars::DATABASE_URL, url).whole(DatabaseConfig::read)?;
    let pool = pool::open(&config).await?;
    let mut after = None;
    loop {
        match stock_svc::commands::reannounce(&pool, after.as_ref()).await?.last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}
