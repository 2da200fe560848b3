//! Parcels to pack and to send, on their way and back; and what is running low. stock-svc does what is asked for.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Part, id_in_path, next_of, once, once_of};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Sent, Service, query};

/// Parcels that are shown one by one.
const STATUSES: [(&str, &str); 4] =
    [("pending", "To pack"), ("packed", "To send"), ("dispatched", "On their way"), ("returned", "Returned")];

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/warehouse").get(|visit| shown(page(visit))))
        .service(resource("/control/warehouse/{id}/{step}").post(|visit, body| shown(step(visit, body))));
}

/// Parcels in one state.
#[derive(Debug, Serialize)]
struct Shelf {
    title: String,
    status: &'static str,
    part: Part,
    next: Option<String>,
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let asked = Form::query(&visit.request);
    let order = asked.get("order").and_then(|order| order.parse::<Uuid>().ok());
    let status = asked.get("status").and_then(|status| STATUSES.iter().find(|(known, _)| *known == status));
    let cursor = asked.get("cursor").and_then(|cursor| cursor.parse::<Uuid>().ok());
    let (shelves, low) = tokio::join!(shelves(&visit, order, status, cursor), low(&visit, order));
    let once = once();
    let order = order.map(|order| order.to_string());
    Ok(visit.page("control/warehouse.html", context! { shelves, low, order, once, statuses => STATUSES.to_vec() }))
}

/// The parcels of an order, those in one state, or the first of each.
async fn shelves(
    visit: &Visit,
    order: Option<Uuid>,
    one: Option<&(&'static str, &'static str)>,
    cursor: Option<Uuid>,
) -> Vec<Shelf> {
    if let Some(order) = order {
        let part = parcels(visit, &format!("order_id={order}&limit=100")).await;
        return vec![Shelf { title: format!("Parcels of order {order}"), status: "", part, next: None }];
    }
    if let Some(&(status, title)) = one {
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let part = parcels(visit, &format!("status={status}&limit=50{cursor}")).await;
        let next = next_of("/control/warehouse", &[("status", status)], &part);
        return vec![Shelf { title: title.to_owned(), status, part, next }];
    }
    let shelf = |(status, title): (&'static str, &'static str)| async move {
        let part = parcels(visit, &format!("status={status}&limit=10")).await;
        let next = part.value["next_cursor"].is_string().then(|| format!("/control/warehouse?status={status}"));
        Shelf { title: title.to_owned(), status, part, next }
    };
    futures_util::future::join_all(STATUSES.map(shelf)).await
}

async fn parcels(visit: &Visit, query: &str) -> Part {
    let listed = visit.state.services.get(Service::Stock, &format!("/api/v1/shipments?{query}"), visit.token()).await;
    Part::of(Service::Stock, listed)
}

/// Products of which few are left. None where one order is looked at.
async fn low(visit: &Visit, order: Option<Uuid>) -> Option<Part> {
    if order.is_some() {
        return None;
    }
    let listed = visit.state.services.get(Service::Stock, "/api/v1/low-stock-products?limit=100", visit.token()).await;
    Some(Part::of(Service::Stock, listed))
}

/// Moves a parcel.
async fn step(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, id) = id_in_path(visit, "parcel")?;
    let step = visit.request.match_info().get("step").unwrap_or_default().to_owned();
    let Some((method, route, asked)) = request(&step, &form) else {
        return Err(super::missing(visit, "step"));
    };
    let key = Uuid::new_v5(&once_of(form.get("once")), id.as_bytes()).to_string();
    let sent = Sent {
        token: visit.token(),
        body: Some(&asked),
        idempotency_key: (step == "return").then_some(key.as_str()),
        ..Sent::default()
    };
    match visit.state.services.ask(Service::Stock, method, &format!("/api/v1/shipments/{id}/{route}"), sent).await {
        Ok(_) => {
            let back = form.get("order").and_then(|order| order.parse::<Uuid>().ok());
            let to =
                back.map_or_else(String::new, |order| format!("?{}", query([("order", order.to_string().as_str())])));
            Ok(visit.go(&format!("/control/warehouse{to}")))
        }
        Err(failure) => Err(visit.failed(&failure)),
    }
}

/// What stock-svc is asked for a step.
fn request(step: &str, form: &Form) -> Option<(Method, &'static str, Value)> {
    let handed_over = || json!({"carrier": form.text("carrier"), "tracking_number": form.text("tracking_number")});
    Some(match step {
        "pack" => (Method::POST, "pack", json!({})),
        "dispatch" => (Method::POST, "dispatch", handed_over()),
        "tracking" => (Method::PUT, "tracking", handed_over()),
        "deliver" => (Method::POST, "deliver", json!({})),
        "lost" => (Method::POST, "lost", json!({})),
        "call-off" => (Method::POST, "call-off", json!({})),
        "return" => (Method::POST, "return", json!({"lines": lines(form)})),
        _ => return None,
    })
}

/// The lines of a form that have a number of pieces.
fn lines(form: &Form) -> Vec<Value> {
    let quantities = form.all("quantity").map(|quantity| quantity.trim().parse::<i64>().unwrap_or(0));
    let lines = form.all("sku").zip(quantities).filter(|(_, quantity)| *quantity != 0);
    lines.map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_pieces_come_back() {
        let form = Form::parse(b"sku=A&quantity=2&sku=B&quantity=0&sku=C&quantity=").unwrap();
        let (method, route, body) = request("return", &form).unwrap();
        assert_eq!((method, route, body), (Method::POST, "return", json!({"lines": [{"sku": "A", "quantity": 2}]})));
    }

    #[test]
    fn a_parcel_is_handed_over_with_carrier_and_number_and_no_other_step_is_known() {
        let form = Form::parse(b"carrier=An+Post&tracking_number=CE1").unwrap();
        let (.., body) = request("dispatch", &form).unwrap();
        assert_eq!(body, json!({"carrier": "An Post", "tracking_number": "CE1"}));
        assert!(request("../../orders", &form).is_none());
    }
}
