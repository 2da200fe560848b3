//! What the runner itself answers: whether everything that must hold in the shop does, and what is stuck.

use std::collections::BTreeMap;

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use serde_json::json;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::audit::{self, Audit, Options, Sources};
use crate::cluster::Cluster;
use crate::plan::Plan;
use crate::service::Service;
use crate::stuck;

/// One looks at a time: it reads everything.
struct State {
    sources: Sources,
    turn: Mutex<()>,
    stop: CancellationToken,
}

/// Listens until the run ends. Fails if the port is taken.
pub(super) fn serve(plan: &Plan, stop: CancellationToken) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let of = |service| Some((service, plan.database_url(service)?));
    let databases: BTreeMap<_, _> = Service::WITH_OUTBOX.into_iter().filter_map(of).collect();
    let gateway = plan.url(Service::SandboxGateway);
    let urls = Service::WITH_OUTBOX.map(|service| (service, plan.url(service))).into();
    let sources = Sources::of_run(Cluster(plan.kafka.clone()), databases, gateway).with_urls(urls);
    let stuck = stuck::routes(sources.clone());
    let state = Data::new(State { sources, turn: Mutex::new(()), stop: stop.clone() });
    let app = move || App::new().app_data(state.clone()).route("/audit", web::get().to(audit)).configure(stuck.clone());
    let server = HttpServer::new(app)
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(("127.0.0.1", plan.ports.runner))
        .context("the runner's port")?
        .run();
    let handle = server.handle();
    Ok(tokio::spawn(async move {
        tokio::select! {
            ended = server => if let Err(error) = ended { tracing::error!("{}: {error}", "the runner's HTTP interface") },
            () = stop.cancelled() => handle.stop(true).await,
        }
    }))
}

async fn audit(state: Data<State>) -> HttpResponse {
    let Ok(_turn) = state.turn.try_lock() else {
        return HttpResponse::TooManyRequests()
            .json(json!({"detail": "an audit is under way: ask again when it is done"}));
    };
    match audit::look(&state.sources, Options::default(), &state.stop).await {
        Ok(Audit { stopped: Some(why), .. }) => HttpResponse::ServiceUnavailable().json(json!({"detail": why})),
        Ok(audit) => HttpResponse::Ok().json(audit),
        Err(error) => HttpResponse::ServiceUnavailable().json(json!({"detail": format!("{error:#}")})),
    }
}
