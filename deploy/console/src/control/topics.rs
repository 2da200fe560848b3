//! What was heard on the topics: searched, newest first, and live; and how far each service has come.

use std::collections::BTreeMap;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};
use serde::Serialize;
use shared_events::Event as Known;

use super::event_rows::EventRow;
use super::now::samples_of;
use super::samples::Health;
use super::{cursor, parsed_cursor, stored, term};
use crate::heard::subscriptions;
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::query;
use crate::store::events::{Found, LOOKED_AT, Search, search};

const PAGE: i64 = 50;
/// So many events follow each other live.
const LIVE: i64 = 25;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/topics").get(|visit| shown(page(visit))))
        .service(resource("/control/topics/rows").get(|visit| shown(rows(visit))));
}

/// How far the services are in a partition.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Partition {
    topic: String,
    partition: String,
    /// By service: how many events are not handled yet, and how old the oldest of them is.
    groups: Vec<Option<(f64, f64)>>,
}

/// The topics that the console hears.
fn heard() -> impl Iterator<Item = String> {
    subscriptions().into_iter().map(|heard| heard.topic)
}

/// What is looked for, as it was asked.
fn asked(visit: &Visit) -> Search {
    let form = Form::query(&visit.request);
    let of = |name: &str| form.get(name).and_then(term);
    Search {
        topic: of("topic").filter(|topic| heard().any(|known| known == *topic)),
        key: of("key"),
        event_type: of("type"),
        text: of("text"),
        before: form.get("before").and_then(parsed_cursor),
    }
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let wanted = asked(&visit);
    let is_live = Form::query(&visit.request).get("live").is_some();
    let limit = if is_live { LIVE } else { PAGE };
    let (visit, found) = stored(visit, async |conn| search(conn, &wanted, limit).await).await?;
    let health = samples_of(&visit).health(&visit.state.services).await;
    let (services, partitions) = partitions(&health);
    let next = (!is_live).then(|| next(&wanted, &found)).flatten();
    let is_cut = wanted.text.is_some() && found.looked_at == LOOKED_AT;
    let topics: Vec<_> = heard().collect();
    let types: Vec<_> = Known::types().collect();
    let search = context! { topic => wanted.topic, key => wanted.key, type => wanted.event_type, text => wanted.text };
    let events = EventRow::all(found.events);
    Ok(visit.page(
        "control/topics.html",
        context! { search, is_live, events, next, is_cut, topics, types, services, partitions, looked_at => LOOKED_AT },
    ))
}

/// The rows alone, for whoever follows them live.
async fn rows(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let wanted = Search { before: None, ..asked(&visit) };
    let (visit, found) = stored(visit, async |conn| search(conn, &wanted, LIVE).await).await?;
    let events = EventRow::all(found.events);
    Ok(visit.page("control/topics_rows.html", context! { events }))
}

/// Where the search goes on: after the last that was shown, or the last that was looked at.
fn next(wanted: &Search, found: &Found) -> Option<String> {
    let is_full = i64::try_from(found.events.len()).unwrap_or(i64::MAX) >= PAGE;
    let last = match found.events.last() {
        Some(last) if is_full => cursor(last.heard_at, last.id),
        _ if wanted.text.is_some() && found.looked_at == LOOKED_AT => found.last.map(|(at, id)| cursor(at, id))?,
        _ => return None,
    };
    let of = |text: &Option<String>| text.clone().unwrap_or_default();
    let asked = [
        ("topic", of(&wanted.topic)),
        ("key", of(&wanted.key)),
        ("type", of(&wanted.event_type)),
        ("text", of(&wanted.text)),
    ];
    let pairs = asked.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str()));
    Some(format!("/control/topics?{}", query(pairs.chain([("before", last.as_str())]))))
}

/// The services that tell their lag, and of each partition how far each is.
fn partitions(health: &[Health]) -> (Vec<&'static str>, Vec<Partition>) {
    let telling: Vec<_> = health.iter().filter(|health| !health.partitions.is_empty()).collect();
    let mut found = BTreeMap::<(String, u32, String), Vec<Option<(f64, f64)>>>::new();
    for (index, health) in telling.iter().enumerate() {
        for lag in &health.partitions {
            let number = lag.partition.parse().unwrap_or(u32::MAX);
            let groups = found.entry((lag.topic.clone(), number, lag.partition.clone()));
            groups.or_insert_with(|| vec![None; telling.len()])[index] = Some((lag.records, lag.seconds));
        }
    }
    let partition = |((topic, _, partition), groups)| Partition { topic, partition, groups };
    (telling.iter().map(|health| health.service).collect(), found.into_iter().map(partition).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples::{Gauges, Lag};

    #[test]
    fn each_partition_tells_how_far_each_service_is() {
        let lag = |topic: &str, partition: &str, records| Lag {
            topic: topic.to_owned(),
            partition: partition.to_owned(),
            records,
            seconds: 0.0,
        };
        let health = |service, partitions| Health {
            service,
            state: "ready".to_owned(),
            checks: vec![],
            gauges: Gauges::default(),
            partitions,
            away: vec![],
        };
        let (services, partitions) = partitions(&[
            health("order-svc", vec![lag("stock.v1", "10", 1.0), lag("stock.v1", "2", 2.0)]),
            health("stock-svc", vec![]),
            health("payment-svc", vec![lag("stock.v1", "2", 3.0)]),
        ]);
        assert_eq!(services, ["order-svc", "payment-svc"]);
        let told: Vec<_> = partitions.iter().map(|of| (of.partition.as_str(), of.groups.clone())).collect();
        assert_eq!(told, [("2", vec![Some((2.0, 0.0)), Some((3.0, 0.0))]), ("10", vec![Some((1.0, 0.0)), None])]);
    }
}
