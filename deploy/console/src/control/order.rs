//! One order: its swimlane, every event, and what each service knows of it.

use actix_web::HttpResponse;
use actix_web::web::{Bytes, ServiceConfig, resource};
use minijinja::context;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::event_rows::{EventRow, traces};
use super::order_parts::Parts;
use super::orders::OrderRow;
use super::{id_in_path, stored};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Sent, Service};
use crate::store::{events, orders};
use crate::svg::swimlane::{self, MOST};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/orders/{id}").get(|visit| shown(page(visit))))
        .service(resource("/control/orders/{id}/cancel").post(|visit, body| shown(change(visit, body, "cancel"))))
        .service(resource("/control/orders/{id}/call-off").post(|visit, body| shown(change(visit, body, "call-off"))));
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, id) = id_in_path(visit.for_workers()?, "order")?;
    let skip = Form::query(&visit.request).get("skip").and_then(|skip| skip.parse::<u16>().ok()).unwrap_or_default();
    let (visit, (order, mut found)) = stored(visit, async |conn| {
        let order = orders::find(conn, id).await?;
        let limit = i64::try_from(MOST + 1).unwrap_or(i64::MAX);
        Ok((order, events::page_of_order(conn, id, i64::from(skip), limit).await?))
    })
    .await?;
    let parts = Parts::of(&visit.state.services, visit.token(), id).await;
    let has_more = found.len() > MOST;
    found.truncate(MOST);
    let next = has_more.then(|| format!("/control/orders/{id}?skip={}", usize::from(skip) + MOST));
    let lanes = (!found.is_empty()).then(|| swimlane::draw(&found, &parts.marks()));
    let traces = traces(&found);
    let name = order.as_ref().and_then(|order| order.number.clone()).or_else(|| number(&parts));
    let (skus, deadline) = order.as_ref().map(|order| (order.skus.clone(), order.deadline)).unzip();
    let deadline = deadline.flatten();
    let row = order.map(OrderRow::from);
    let events = EventRow::all(found);
    Ok(visit.page(
        "control/order.html",
        context! { id, name, row, skus, deadline, lanes, traces, events, skip, next, parts },
    ))
}

fn number(parts: &Parts) -> Option<String> {
    parts.order()["number"].as_str().map(str::to_owned)
}

/// Has order-svc do something with the order.
async fn change(visit: Visit, body: Bytes, what: &str) -> Result<HttpResponse, Refusal> {
    let (visit, _) = visit.for_workers()?.form(&body)?;
    let (visit, id): (Visit, Uuid) = id_in_path(visit, "order")?;
    let nothing = json!({});
    let sent = Sent { token: visit.token(), body: Some(&nothing), ..Sent::default() };
    match visit.state.services.ask(Service::Orders, Method::POST, &format!("/api/v1/orders/{id}/{what}"), sent).await {
        Ok(_) => Ok(visit.go(&format!("/control/orders/{id}"))),
        Err(failure) => Err(visit.failed(&failure)),
    }
}
