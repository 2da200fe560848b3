//! One order: its swimlane, every event, and what each service knows of it.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde_json::{Value, json};

use super::event_rows::{EventRow, traces};
use super::order_parts::Parts;
use super::orders::OrderRow;
use super::{id_in_path, once, once_of, stored};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Sent, Service};
use crate::store::{events, orders};
use crate::svg::swimlane::{self, MOST};

/// Why staff cancel an order, as order-svc has it, and as people read it.
const REASONS: [(&str, &str); 5] = [
    ("customer_request", "the customer asked for it"),
    ("fraud_suspected", "it may be fraud"),
    ("price_error", "the price was wrong"),
    ("cannot_deliver", "it can't be delivered"),
    ("other", "another reason"),
];

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/orders/{id}").get(|visit| shown(page(visit))))
        .service(resource("/control/orders/{id}/{step}").post(|visit, body| shown(change(visit, body))));
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
    let (traces, traces_url) = (traces(&found), visit.state.traces.clone());
    let name = order.as_ref().and_then(|order| order.number.clone()).or_else(|| number(&parts));
    let (skus, deadline) = order.as_ref().map(|order| (order.skus.clone(), order.deadline)).unzip();
    let deadline = deadline.flatten();
    let row = order.map(OrderRow::from);
    let events = EventRow::all(found);
    Ok(visit.page(
        "control/order.html",
        context! { id, name, row, skus, deadline, lanes, traces, traces_url, events, skip, next, parts, reasons => REASONS, once => once() },
    ))
}

fn number(parts: &Parts) -> Option<String> {
    parts.order()["number"].as_str().map(str::to_owned)
}

/// Has order-svc do something with the order.
async fn change(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, id) = id_in_path(visit, "order")?;
    let step = visit.request.match_info().get("step").unwrap_or_default();
    let Some((route, asked)) = request(step, &form) else { return Err(super::missing(visit, "step")) };
    let key = once_of(form.get("once")).to_string();
    let idempotency_key = (route == "notes").then_some(key.as_str());
    let sent = Sent { token: visit.token(), body: Some(&asked), idempotency_key, ..Sent::default() };
    match visit.state.services.ask(Service::Orders, Method::POST, &format!("/api/v1/orders/{id}/{route}"), sent).await {
        Ok(_) => Ok(visit.go(&format!("/control/orders/{id}"))),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

/// What order-svc is asked for a step.
fn request(step: &str, form: &Form) -> Option<(&'static str, Value)> {
    Some(match step {
        "cancel" => ("cancel", why(form)),
        "call-off" => ("call-off", json!({})),
        "hold" => ("hold", json!({"reason": form.text("reason")})),
        "release" => ("release", json!({})),
        "notes" => ("notes", json!({"text": form.text("text")})),
        _ => return None,
    })
}

/// Why staff cancel an order. Without a reason it is the customer's wish.
fn why(form: &Form) -> Value {
    let mut why = json!({});
    if let Some(reason) = form.get("reason") {
        why["reason"] = reason.into();
        if let Some(note) = form.get("note") {
            why["note"] = note.into();
        }
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(step: &str, form: &str) -> Option<(&'static str, Value)> {
        request(step, &Form::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn staff_say_why_they_cancel_and_a_customer_does_not() {
        assert_eq!(asked("cancel", "reason=&note=x"), Some(("cancel", json!({}))));
        let said = json!({"reason": "price_error", "note": "a zero too few"});
        assert_eq!(asked("cancel", "reason=price_error&note=a+zero+too+few"), Some(("cancel", said)));
    }

    #[test]
    fn an_order_is_held_with_a_reason_and_no_other_step_is_known() {
        assert_eq!(asked("hold", "reason=ten+of+the+same"), Some(("hold", json!({"reason": "ten of the same"}))));
        assert_eq!(asked("../x", ""), None);
    }
}
