//! Looks at an order: asks the services and what the console has heard, and puts it into words.

use chrono::{DateTime, Utc};
use minijinja::value::Value as Page;
use serde_json::Value;
use uuid::Uuid;

use super::next::next;
use super::steps::steps;
use super::view::{Order, Payment, Status, Times, web};
use super::viewer::Viewer;
use super::words;
use crate::http::AppState;
use crate::pages::context;
use crate::services::{Failure, Service};
use crate::shop::address;
use crate::store;

/// The most events of a history that are read.
const HISTORY: u32 = 500;

/// An order as it is now.
#[derive(Clone, Debug)]
pub struct Looked {
    pub order: Order,
    times: Times,
    payment: Option<Payment>,
    heard: Known,
    /// Whether a service that tells a part of it is away.
    pub is_partial: bool,
}

/// What the console itself has heard of an order.
#[derive(Clone, Debug, Default)]
struct Known {
    deadline: Option<DateTime<Utc>>,
    /// Where the customer approves the payment, if the bank asks for that, and until when.
    approval: Option<(Option<String>, Option<DateTime<Utc>>)>,
}

/// The first of these ways by which the order can be seen, and the order.
pub async fn find(state: &AppState, id: Uuid, ways: Vec<Viewer>) -> Result<(Viewer, Order), Failure> {
    let mut refused = Failure::Refused { status: 401, problem: Value::Null };
    for viewer in ways {
        match order(state, id, &viewer).await {
            Ok(order) => return Ok((viewer, order)),
            Err(failure @ Failure::Away { .. }) => return Err(failure),
            Err(failure) => refused = failure,
        }
    }
    Err(refused)
}

/// What order-svc tells of it.
pub async fn order(state: &AppState, id: Uuid, viewer: &Viewer) -> Result<Order, Failure> {
    let path = format!("/api/v1/orders/{id}");
    let found = state.services.get(Service::Orders, &path, viewer.token.as_deref()).await?;
    let not_one = |error: serde_json::Error| Failure::Away { service: Service::Orders.name(), why: error.to_string() };
    serde_json::from_value(found).map_err(not_one)
}

impl Looked {
    /// Asks what else there is to tell of an order.
    pub async fn at(state: &AppState, order: Order, viewer: &Viewer) -> Self {
        let (id, token) = (order.id, viewer.token.as_deref());
        let history = format!("/api/v1/orders/{id}/history?limit={HISTORY}");
        let payments = format!("/api/v1/payments?order_id={id}");
        let (history, payments, heard) = tokio::join!(
            state.services.get(Service::Orders, &history, token),
            state.services.get(Service::Payments, &payments, token),
            heard(state, &order)
        );
        let is_away = |asked: &Result<Value, Failure>| matches!(asked, Err(Failure::Away { .. }));
        let is_partial = is_away(&history) || is_away(&payments);
        let times = history.map(|history| Times::of(&history)).unwrap_or_default();
        let payment = payments.ok().and_then(|page| Payment::of(&page));
        Self { order, times, payment, heard, is_partial }
    }

    /// What can be done with it now, by name. A guest's link shows and cancels an order, and no more.
    pub fn may(&self, viewer: &Viewer) -> Vec<&'static str> {
        let (order, links) = (&self.order, &self.order.links);
        let all = [
            ("address", links.delivery_address.is_some() && !viewer.is_guest()),
            ("call-off", links.call_off.is_some() && !viewer.is_guest()),
            ("cancel", links.cancel.is_some() && order.status != Status::Cancelling),
        ];
        all.into_iter().filter(|(_, is_possible)| *is_possible).map(|(name, _)| name).collect()
    }

    /// What a page shows of it.
    pub fn shown(&self, viewer: &Viewer) -> Page {
        let Self { order, times, payment, heard, is_partial } = self;
        let action = payment.as_ref().and_then(|payment| payment.next_action.as_ref());
        let (heard_url, heard_until) = heard.approval.clone().unwrap_or_default();
        let asks = words::waits_for_bank(order);
        // What opens the bank's page is for whoever pays: it is shown to no staff.
        let url = action.and_then(|action| action.url()).or(heard_url).filter(|_| asks && viewer.owns(order));
        let until = action.and_then(|action| action.deadline).or(heard_until);
        context! {
            id => order.id,
            number => order.number,
            headline => words::headline(order),
            steps => steps(order, times),
            next => next(order, heard.deadline, until),
            asks_for_approval => asks,
            approval_url => url,
            money => words::money(order, payment.as_ref()),
            parcels => words::parcels(order),
            lines => order.lines,
            total => order.total,
            placed_at => order.placed_at,
            name => order.customer.name,
            address => address::lines(&order.delivery_address),
            requested_address => address::lines(&order.requested_address),
            is_forgotten => order.forgotten_at.is_some(),
            is_over => order.status.is_end(),
            is_cancelled => order.status == Status::Cancelled,
            may => self.may(viewer),
            is_partial,
        }
    }
}

async fn heard(state: &AppState, order: &Order) -> Known {
    match try_heard(state, order).await {
        Ok(known) => known,
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "what was heard of an order can't be read");
            Known::default()
        }
    }
}

async fn try_heard(state: &AppState, order: &Order) -> anyhow::Result<Known> {
    if order.status.is_end() {
        return Ok(Known::default());
    }
    let mut conn = state.pool.get().await?;
    let deadline = store::orders::find(&mut conn, order.id).await?.and_then(|known| known.deadline);
    let approval = match words::waits_for_bank(order) {
        true => {
            store::events::of_order(&mut conn, order.id).await?.into_iter().rev().find_map(|event| approval(&event))
        }
        false => None,
    };
    Ok(Known { deadline, approval })
}

/// Where and until when a customer approves, as an event says.
fn approval(event: &store::events::Event) -> Option<(Option<String>, Option<DateTime<Utc>>)> {
    if event.event_type != "payment.action_required.v1" {
        return None;
    }
    let body: Value = serde_json::from_str(event.body.as_deref()?).ok()?;
    let deadline = body["deadline"].as_str().and_then(|time| time.parse().ok());
    Some((body["url"].as_str().and_then(web), deadline))
}
