//! What is asked of a program that watches: whether all that must hold does, and what is stuck. It asks nobody who they are.

use std::net::SocketAddr;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use serde_json::json;
use service_kit::http::Problem;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::super::{Audit, Options, look};
use super::{Sources, UnderWay, Watch};
use crate::http_guard::guard;
use crate::stuck;

/// One looks at a time: it reads everything.
struct AtOnce {
    sources: Sources,
    turn: Mutex<()>,
    stop: CancellationToken,
}

/// `GET /audit` looks at once and answers what it has seen, `GET /watch` what the watch has seen, `POST /watch/whole` has it look at
/// everything, and `GET /stuck` says what is stuck.
pub(crate) fn routes(
    watch: Watch,
    sources: Sources,
    stop: CancellationToken,
) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let stuck = stuck::routes(sources.clone());
    let (watch, at_once) = (Data::new(watch), Data::new(AtOnce { sources, turn: Mutex::new(()), stop }));
    move |config| {
        config
            .app_data(watch.clone())
            .app_data(at_once.clone())
            .route("/audit", web::get().to(audit))
            .route("/watch", web::get().to(told))
            .route("/watch/whole", web::post().to(whole))
            .configure(stuck.clone());
    }
}

/// Watches, and answers, until it is told to stop. Fails if the address can't be bound.
pub(crate) async fn serve(address: SocketAddr, sources: Sources, stop: &CancellationToken) -> anyhow::Result<()> {
    let watch = Watch::of(sources.clone(), stop.clone());
    let routes = routes(watch.clone(), sources, stop.clone());
    let server = HttpServer::new(move || App::new().wrap(from_fn(guard)).configure(routes.clone()));
    let server = server.workers(1).disable_signals().shutdown_timeout(1);
    let server = server.bind(address).with_context(|| format!("listening at {address}"))?.run();
    let (handle, watching) = (server.handle(), tokio::spawn(watch.run()));
    tokio::select! {
        ended = server => ended?,
        () = stop.cancelled() => handle.stop(true).await,
    }
    watching.abort();
    Ok(())
}

async fn told(watch: Data<Watch>) -> HttpResponse {
    HttpResponse::Ok().json(watch.told())
}

async fn whole(watch: Data<Watch>) -> Result<HttpResponse, Problem> {
    watch.begin_whole().map_err(|UnderWay { began_at }| {
        Problem::conflict(format!("Everything is looked at already, since {began_at:.0}: one look at a time."))
    })?;
    Ok(HttpResponse::Accepted().json(watch.told()))
}

async fn audit(state: Data<AtOnce>) -> HttpResponse {
    let Ok(_turn) = state.turn.try_lock() else {
        return HttpResponse::TooManyRequests()
            .json(json!({"detail": "an audit is under way: ask again when it is done"}));
    };
    match look(&state.sources, Options::default(), &state.stop).await {
        Ok(Audit { stopped: Some(why), .. }) => HttpResponse::ServiceUnavailable().json(json!({"detail": why})),
        Ok(audit) => HttpResponse::Ok().json(audit),
        Err(error) => HttpResponse::ServiceUnavailable().json(json!({"detail": format!("{error:#}")})),
    }
}
