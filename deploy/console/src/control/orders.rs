//! Orders that the console has heard of: listed, and found by whatever somebody has of one.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Part, cursor, parsed_cursor, stored, term};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::amount_in;
use crate::services::{Failure, Service, query};
use crate::store::orders::{Order, Search, State, search};

const PAGE: usize = 50;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/control/orders").get(|visit| shown(list(visit))));
}

#[derive(Debug, Serialize)]
pub struct OrderRow {
    id: Uuid,
    /// What people call it.
    name: String,
    customer_id: Option<String>,
    customer: Option<String>,
    state: &'static str,
    kind: &'static str,
    reason: Option<String>,
    total: Option<String>,
    placed_at: Option<DateTime<Utc>>,
    last_event_at: DateTime<Utc>,
}

impl From<Order> for OrderRow {
    fn from(order: Order) -> Self {
        let state = order.state();
        let total = order.total.zip(order.currency.as_deref()).map(|(total, currency)| amount_in(total, currency));
        Self {
            id: order.id,
            name: order.number.filter(|number| !number.is_empty()).unwrap_or_else(|| order.id.to_string()),
            customer_id: order.customer_id,
            customer: order.email.or(order.customer_name),
            state: state.name(),
            kind: kind(state),
            reason: order.reason,
            total,
            placed_at: order.placed_at,
            last_event_at: order.last_event_at,
        }
    }
}

pub const fn kind(state: State) -> &'static str {
    match state {
        State::Pending => "warn",
        State::Confirmed | State::Shipped => "note",
        State::Completed => "good",
        State::Cancelled => "bad",
    }
}

async fn list(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let asked = Form::query(&visit.request);
    let text = asked.get("q").and_then(term);
    let state = asked.get("state").and_then(State::named);
    let before = asked.get("before").and_then(parsed_cursor);
    let wanted = Search { text: text.clone(), state, before };
    let limit = i64::try_from(PAGE + 1).unwrap_or(i64::MAX);
    let (visit, mut found) = stored(visit, async |conn| search(conn, &wanted, limit).await).await?;
    if let (Some(text), [only]) = (&text, found.as_slice())
        && is_name(text, only)
    {
        return Ok(visit.go(&format!("/control/orders/{}", only.id)));
    }
    let next = (found.len() > PAGE).then(|| {
        found.truncate(PAGE);
        let last =
            found.last().map(|last| cursor(last.placed_at.unwrap_or(last.last_event_at), last.id)).unwrap_or_default();
        let (q, state) = (text.as_deref().unwrap_or_default(), state.map_or("", State::name));
        let asked = [("q", q), ("state", state), ("before", &last)];
        format!("/control/orders?{}", query(asked.into_iter().filter(|(_, value)| !value.is_empty())))
    });
    if let (Some(text), true) = (&text, found.is_empty())
        && let Some(order) = of_intent(&visit, text).await
    {
        return Ok(visit.go(&format!("/control/orders/{order}")));
    }
    let unheard = text.as_deref().and_then(|text| text.parse::<Uuid>().ok()).filter(|_| found.is_empty());
    let elsewhere = match &text {
        Some(text) if found.is_empty() && before.is_none() => Some(known_to_order_svc(&visit, text).await),
        _ => None,
    };
    let rows: Vec<_> = found.into_iter().map(OrderRow::from).collect();
    let states = State::ALL.map(State::name);
    Ok(visit.page(
        "control/orders.html",
        context! { rows, states, state => state.map(State::name), q => text, next, unheard, elsewhere },
    ))
}

/// The order that the gateway's intent pays, as payment-svc knows it: events don't say what the gateway calls it.
async fn of_intent(visit: &Visit, text: &str) -> Option<Uuid> {
    if !text.starts_with("pi_") {
        return None;
    }
    let path = format!("/api/v1/payments?{}", query([("gateway_intent", text)]));
    let found = visit.state.services.get(Service::Payments, &path, visit.token()).await;
    found.ok()?["items"][0]["order_id"].as_str()?.parse().ok()
}

/// What the console has not heard of, as order-svc knows it: orders stay there for longer.
async fn known_to_order_svc(visit: &Visit, text: &str) -> Part {
    let path = format!("/api/v1/orders?{}", query([("q", text), ("limit", "50")]));
    match visit.state.services.get(Service::Orders, &path, visit.token()).await {
        // It is nothing that an order is known by there.
        Err(Failure::Refused { status: 422, .. }) => Part::of(Service::Orders, Ok(Value::Null)),
        asked => Part::of(Service::Orders, asked),
    }
}

/// Whether the text names this one order and can name no other.
fn is_name(text: &str, order: &Order) -> bool {
    let is_number = order.number.as_deref().is_some_and(|number| number.eq_ignore_ascii_case(text));
    is_number || text.parse() == Ok(order.id)
}
