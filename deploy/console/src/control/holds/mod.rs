//! What must hold after anything, and how the shop is held against it. The console reads no service's database, so it asks a
//! program that does.

mod faults;
mod parts;
mod watched;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde_json::json;

use self::watched::Watched;
use super::record::recorded;
use crate::beside::Beside;
use crate::http::visit::{Refusal, Visit, shown};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/holds").get(|visit| shown(page(visit))))
        .service(resource("/control/holds/live").get(|visit| shown(live(visit))))
        .service(resource("/control/holds/whole").post(|visit, body| shown(whole(visit, body))))
        .service(resource("/control/holds/faults").post(|visit, body| shown(faults::switch(visit, body))))
        .service(resource("/control/holds/parts").get(|visit| shown(parts::live(visit))))
        .service(resource("/control/holds/parts/{name}/{switch}").post(|visit, body| shown(parts::press(visit, body))))
        .service(resource("/control/holds/well").post(|visit, body| shown(well(visit, body))));
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let beside = &visit.state.beside;
    let (watched, faults, run) = tokio::join!(watched(beside), faults::seen(beside), parts::seen(beside));
    Ok(visit.page("control/holds.html", context! { watched, faults, run }))
}

async fn live(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let watched = watched(&visit.state.beside).await;
    Ok(visit.page("control/holds_live.html", context! { watched }))
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
    let begin = async |_: &Visit| watch.ask(Method::POST, "/watch/whole", &json!({})).await.map(drop);
    let visit = recorded(visit, begin).await?;
    Ok(visit.go("/control/holds"))
}

/// Ends all trouble that the switches have made.
async fn well(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, _) = visit.for_workers()?.form(&body)?;
    let mend = async |visit: &Visit| {
        let beside = &visit.state.beside;
        let nothing = json!({});
        let (faults, parts) = tokio::join!(faults::set(beside, &nothing), parts::mend(beside));
        faults.and(parts)
    };
    let visit = recorded(visit, mend).await?;
    Ok(visit.go("/control/holds#switches"))
}
