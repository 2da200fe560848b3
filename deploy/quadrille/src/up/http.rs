//! What the runner itself answers: whether everything that must hold in the shop does, and what is stuck.

use std::collections::BTreeMap;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::audit::Sources;
use crate::audit::watch::{Watch, routes};
use crate::cluster::Cluster;
use crate::http_guard::guard;
use crate::plan::Plan;
use crate::service::Service;

/// Listens until the run ends. Fails if the port is taken.
pub(super) fn serve(plan: &Plan, stop: CancellationToken) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let of = |service| Some((service, plan.database_url(service)?));
    let databases: BTreeMap<_, _> = Service::WITH_OUTBOX.into_iter().filter_map(of).collect();
    let gateway = plan.url(Service::SandboxGateway);
    let urls = Service::WITH_OUTBOX.map(|service| (service, plan.url(service))).into();
    let sources = Sources::of_run(Cluster(plan.kafka.clone()), databases, gateway).with_urls(urls);
    let watch = Watch::of(sources.clone(), stop.clone());
    let routes = routes(watch.clone(), sources, stop.clone());
    let app = move || App::new().wrap(from_fn(guard)).configure(routes.clone());
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(("127.0.0.1", plan.ports.runner))
        .context("the runner's port")?
        .run();
    let handle = server.handle();
    tokio::spawn(watch.run());
    Ok(tokio::spawn(async move {
        tokio::select! {
            ended = server => if let Err(error) = ended { tracing::error!("{}: {error}", "the runner's HTTP interface") },
            () = stop.cancelled() => handle.stop(true).await,
        }
    }))
}
