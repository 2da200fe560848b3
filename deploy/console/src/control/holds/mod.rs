//! What must hold after anything, and how the shop is held against it. The console reads no service's database, so it asks a
//! program that does.

mod watched;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde_json::json;

use self::watched::Watched;
use crate::beside::Beside;
use crate::http::visit::{Refusal, Visit, shown};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/holds").get(|visit| shown(page(visit, "control/holds.html"))))
        .service(resource("/control/holds/live").get(|visit| shown(page(visit, "control/holds_live.html"))))
        .service(resource("/control/holds/whole").post(|visit, body| shown(whole(visit, body))));
}

async fn page(visit: Visit, template: &str) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let watched = watched(&visit.state.beside).await;
    Ok(visit.page(template, context! { watched }))
}

async fn watched(beside: &Beside) -> Watched {
    match &beside.watch {
        Some(watch) => Watched::of(watch.get("/watch").await.map_err(|failure| super::trouble(watch.name(), &failure))),
        None => Watched::none(),
    }
}

/// Has the watch look at everything, in the background.
async fn whole(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, _) = visit.for_workers()?.form(&body)?;
    let Some(watch) = visit.state.beside.watch.clone() else { return Err(super::missing(visit, "watch")) };
    match watch.ask(Method::POST, "/watch/whole", &json!({})).await {
        Ok(_) => Ok(visit.go("/control/holds")),
        Err(failure) => Err(visit.failed(&failure)),
    }
}
