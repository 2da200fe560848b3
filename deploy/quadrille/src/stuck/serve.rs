//! The same over HTTP, at `GET /stuck`. It asks nobody who they are, so however many ask, there is one look at a time, and whoever
//! has waited for it gets what it found.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use serde_json::Value;
use tokio::sync::Mutex;

use super::look;
use crate::audit::Sources;

/// For how long a look is good enough.
const FRESH: Duration = Duration::from_secs(2);

struct Looking {
    sources: Sources,
    /// The last look, and when it ended.
    last: Mutex<Option<(Instant, Value)>>,
}

/// The route, for a server.
pub(crate) fn routes(sources: Sources) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let looking = Data::new(Looking { sources, last: Mutex::new(None) });
    move |config| {
        config.app_data(looking.clone()).route("/stuck", web::get().to(answer));
    }
}

async fn answer(looking: Data<Looking>) -> HttpResponse {
    let mut last = looking.last.lock().await;
    if let Some((_, found)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
        return HttpResponse::Ok().json(found);
    }
    match serde_json::to_value(look(&looking.sources).await) {
        Ok(found) => {
            let answer = HttpResponse::Ok().json(&found);
            *last = Some((Instant::now(), found));
            answer
        }
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

/// Answers until the process is told to stop. Fails if the address can't be bound.
pub(super) async fn serve(address: SocketAddr, sources: Sources) -> anyhow::Result<()> {
    let routes = routes(sources);
    let server = HttpServer::new(move || App::new().configure(routes.clone())).workers(1).disable_signals();
    let server = server.bind(address).with_context(|| format!("listening at {address}"))?;
    Ok(server.run().await?)
}
