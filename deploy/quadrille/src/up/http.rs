//! What the runner itself answers: whether everything that must hold in the shop does, what is stuck, and how the parts of the run
//! are, which it switches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use service_kit::http::Problem;
use tokio_util::sync::CancellationToken;

use super::parts::{Switch, Unswitched};
use super::registry::Registry;
use crate::audit::Sources;
use crate::audit::watch::{Watch, routes};
use crate::cluster::Cluster;
use crate::http_guard::guard;
use crate::plan::Plan;
use crate::service::Service;

/// Listens until the run ends. Fails if the port is taken.
pub(super) fn serve(
    plan: &Plan,
    registry: &Arc<Registry>,
    stop: CancellationToken,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let of = |service| Some((service, plan.database_url(service)?));
    let databases: BTreeMap<_, _> = Service::WITH_OUTBOX.into_iter().filter_map(of).collect();
    let gateway = plan.url(Service::SandboxGateway);
    let urls = Service::WITH_OUTBOX.map(|service| (service, plan.url(service))).into();
    let sources = Sources::of_run(Cluster(plan.kafka.clone()), databases, gateway).with_urls(urls);
    let watch = Watch::of(sources.clone(), stop.clone());
    let routes = routes(watch.clone(), sources, stop.clone());
    let registry = Data::new(Arc::clone(registry));
    let app = move || {
        let app = App::new().wrap(from_fn(guard)).configure(routes.clone()).app_data(registry.clone());
        app.route("/parts", web::get().to(parts)).route("/parts/{name}/{switch}", web::post().to(switch))
    };
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

/// For how long a part may be away before it comes back by itself, in seconds.
const LONGEST: u64 = 3_600;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Press {
    /// After so long a part that was stopped is started, and one that was frozen goes on.
    for_seconds: Option<u64>,
}

async fn parts(registry: Data<Arc<Registry>>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"items": registry.told()}))
}

async fn switch(
    registry: Data<Arc<Registry>>,
    path: Path<(String, String)>,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let (name, what) = path.into_inner();
    let expected = || Problem::bad_input("switch", format!("It is {what:?}; expected {}.", Switch::NAMES));
    let switch: Switch = what.parse().map_err(|()| expected())?;
    let press: Press = serde_json::from_slice(&body).map_err(|error| Problem::malformed(error.to_string()))?;
    if press.for_seconds.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(Problem::bad_input("for_seconds", format!("It is from 1 to {LONGEST}.")));
    }
    let presses = match registry.switch(&name, switch) {
        None => return Err(Problem::not_found(format!("This run has no part {name:?}."))),
        Some(Err(Unswitched::HasNot)) => {
            return Err(Problem::conflict(format!(
                "{name} has no switch {what}: all others end with it, and begin anew."
            )));
        }
        Some(Err(Unswitched::NotThere)) => {
            return Err(Problem::conflict(format!(
                "There is no process of {name} now, so there is nothing to {what}."
            )));
        }
        Some(Ok(presses)) => presses,
    };
    tracing::warn!(name, "somebody has pressed: {what}");
    if let Some(seconds) = press.for_seconds {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            registry.undo(&name, switch, presses);
        });
    }
    Ok(HttpResponse::Accepted().json(json!({"items": registry.told()})))
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test::{TestRequest, call_and_read_body_json, call_service, init_service};
    use serde_json::Value;

    use super::*;

    #[actix_web::test]
    async fn parts_are_listed_and_switched_and_what_can_not_be_is_said() {
        let data = tempfile::tempdir().unwrap();
        let registry = Registry::new(data.path());
        registry.part("payment-svc", &Switch::ALL);
        registry.part("kafka", &Switch::WITHOUT_A_STOP);
        let app = App::new().app_data(Data::new(registry)).route("/parts", web::get().to(parts));
        let app = init_service(app.route("/parts/{name}/{switch}", web::post().to(switch))).await;
        let press = async |path: &str, body: &'static str| {
            let request = TestRequest::post().uri(path).set_payload(body).to_request();
            call_service(&app, request).await.status()
        };
        assert_eq!(press("/parts/payment-svc/stop", "{}").await, StatusCode::ACCEPTED);
        assert_eq!(press("/parts/payment-svc/kill", "{}").await, StatusCode::CONFLICT, "it has no process");
        assert_eq!(press("/parts/kafka/stop", "{}").await, StatusCode::CONFLICT, "it has no such switch");
        assert_eq!(press("/parts/payment-svc/eat", "{}").await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(press("/parts/payment-svc/stop", r#"{"for_seconds": 0}"#).await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(press("/parts/payment-svc/stop", r#"{"for": 1}"#).await, StatusCode::BAD_REQUEST);
        assert_eq!(press("/parts/nobody/stop", "{}").await, StatusCode::NOT_FOUND);
        let told: Value = call_and_read_body_json(&app, TestRequest::get().uri("/parts").to_request()).await;
        let items = told["items"].as_array().unwrap();
        let states: Vec<_> = items.iter().map(|part| (part["name"].as_str(), part["state"].as_str())).collect();
        assert_eq!(states, [(Some("kafka"), Some("starting")), (Some("payment-svc"), Some("stopped"))]);
        assert_eq!(items[0]["switches"], json!(["freeze", "continue", "kill"]));
    }
}
