//! What stands still: orders that wait longer than they should, by what they wait for; what may keep them; and what mends it.

mod advice;
pub mod found;

use std::collections::BTreeMap;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use self::advice::{Advice, Cause, causes};
use super::now::samples_of;
use super::samples::silent;
use super::{Part, stored};
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::Service;
use crate::store::orders;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/control/stuck").get(|visit| shown(page(visit))));
}

/// Orders that wait for the same.
#[derive(Debug, Serialize)]
struct Group {
    fact: String,
    from: String,
    orders: i64,
    oldest_since: Option<DateTime<Utc>>,
    first: Vec<Named>,
    advice: Advice,
    /// What may keep them.
    causes: Vec<Cause>,
}

#[derive(Debug, Serialize)]
struct Named {
    id: Uuid,
    name: String,
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let (services, samples) = (&visit.state.services, samples_of(&visit));
    let (found, health, overdue) = tokio::join!(
        samples.found(services),
        samples.health(services),
        services.get(Service::Orders, "/api/v1/overdue-orders?limit=100", visit.token())
    );
    let overdue = Part::of(Service::Orders, overdue);
    let ids: Vec<_> = overdue.items().iter().flat_map(ids).collect();
    let (visit, numbers) = stored(visit, async |conn| orders::numbers(conn, &ids).await).await?;
    // It looks at the same things more closely.
    let silent = silent(&health);
    let silent = if found.is_some() { Vec::new() } else { silent };
    let mut others = found.map_or_else(|| causes(&health), |found| found.causes());
    let mut groups: Vec<_> = overdue.items().iter().map(|item| group(item, &others, &numbers)).collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.orders));
    others.retain(|cause| !groups.iter().any(|group| group.causes.contains(cause)));
    let waiting: i64 = groups.iter().map(|group| group.orders).sum();
    Ok(visit.page("control/stuck.html", context! { groups, others, overdue, waiting, silent, at => Utc::now() }))
}

fn ids(item: &Value) -> Vec<Uuid> {
    let first = item["first"].as_array().into_iter().flatten();
    first.filter_map(|id| id.as_str()?.parse().ok()).take(10).collect()
}

fn group(item: &Value, causes: &[Cause], numbers: &BTreeMap<Uuid, String>) -> Group {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let (fact, from) = (text("waiting_for"), text("waiting_from"));
    let name = |id: Uuid| Named { id, name: numbers.get(&id).cloned().unwrap_or_else(|| id.to_string()) };
    let first = ids(item);
    Group {
        orders: item["orders"].as_i64().unwrap_or_default(),
        oldest_since: item["oldest_since"].as_str().and_then(|since| since.parse().ok()),
        advice: Advice::of(&fact, &from),
        causes: causes.iter().filter(|cause| cause.may_keep(&fact, &from, &first)).cloned().collect(),
        first: first.into_iter().map(name).collect(),
        fact,
        from,
    }
}
