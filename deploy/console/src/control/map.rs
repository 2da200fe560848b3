//! Who says what and who hears it, as the services declare it, held against what was heard and what groups read.

use std::collections::{BTreeMap, BTreeSet};

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};
use serde::Serialize;
use shared_events::{
    CustomerEvent, NotificationEvent, OrderEvent, PaymentEvent, ProductEvent, ShipmentEvent, StockEvent, Topic,
};

use super::now::samples_of;
use super::samples::{Health, silent};
use super::stored;
use crate::heard::subscriptions;
use crate::http::visit::{Refusal, Visit, shown};
use crate::store::events::{Saying, sayings};
use crate::svg::map::{Line, Seen, draw};
use crate::{NAME, svg::shortened};

/// Which topics each service hears. A test of the whole system holds it against the services' own tables.
const CHOREOGRAPHY: &str = include_str!("../../assets/choreography.json");
/// Foreign names are shown up to this number.
const FOREIGN: usize = 20;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/control/map").get(|visit| shown(page(visit))));
}

/// A topic with what is declared of it and what was heard on it.
#[derive(Debug, PartialEq, Serialize)]
struct TopicRow {
    topic: String,
    owner: &'static str,
    types: Vec<TypeRow>,
    hears: Vec<String>,
    is_heard_here: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct TypeRow {
    #[serde(rename = "type")]
    event_type: String,
    /// heard, quiet or foreign.
    seen: &'static str,
    /// Who said it without being the topic's owner.
    by: Vec<String>,
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let health = samples_of(&visit).health(&visit.state.services).await;
    let (visit, heard) = stored(visit, async |conn| sayings(conn).await).await?;
    let declared = declared();
    let (says, hears) = (says(&heard), hears(&declared, &health));
    let mut topics: Vec<_> = Topic::ALL.iter().map(|topic| topic.name().to_owned()).collect();
    let foreign = heard.iter().map(|saying| saying.topic.clone()).filter(|topic| Topic::from_name(topic).is_none());
    topics.extend(foreign.collect::<BTreeSet<_>>().into_iter().take(FOREIGN));
    let rows: Vec<_> = topics.iter().map(|topic| row(topic, &heard, &declared)).collect();
    let differing: Vec<_> = differing(&says, &hears, &rows);
    let map = draw(&says, &topics, &hears);
    let silent = silent(&health);
    Ok(visit.page("control/map.html", context! { map, rows, differing, silent }))
}

/// By service, the topics that it hears.
fn declared() -> BTreeMap<String, Vec<String>> {
    serde_json::from_str(CHOREOGRAPHY).unwrap_or_default()
}

/// The types that may be on a topic.
fn types_of(topic: &str) -> &'static [&'static str] {
    match Topic::from_name(topic) {
        Some(Topic::Orders) => OrderEvent::TYPES,
        Some(Topic::Stock) => StockEvent::TYPES,
        Some(Topic::Payments) => PaymentEvent::TYPES,
        Some(Topic::Shipments) => ShipmentEvent::TYPES,
        Some(Topic::Notifications) => NotificationEvent::TYPES,
        Some(Topic::Products) => ProductEvent::TYPES,
        Some(Topic::Customers) => CustomerEvent::TYPES,
        None => &[],
    }
}

fn service_of(source: &str) -> &str {
    source.strip_prefix('/').unwrap_or(source)
}

/// Whether the console hears this topic, and so knows what is on it.
fn is_heard_here(topic: &str) -> bool {
    subscriptions().iter().any(|heard| heard.topic == topic)
}

/// Who says something on which topic: its owner, and whoever was heard there.
fn says(heard: &[Saying]) -> Vec<Line> {
    let line = |service: &str, topic: &str, seen| Line { service: service.to_owned(), topic: topic.to_owned(), seen };
    let mut lines: Vec<_> = Topic::ALL
        .iter()
        .map(|topic| {
            let was_heard =
                |saying: &Saying| saying.topic == topic.name() && service_of(&saying.source) == topic.owner();
            let seen = if heard.iter().any(was_heard) { Seen::Agrees } else { Seen::Quiet };
            line(topic.owner(), topic.name(), seen)
        })
        .collect();
    for saying in heard {
        let said = line(&shortened(service_of(&saying.source), 60), &saying.topic, Seen::Differs);
        let is_known = lines.iter().any(|known| (&known.service, &known.topic) == (&said.service, &said.topic));
        if !is_known && lines.len() < Topic::ALL.len() + FOREIGN {
            lines.push(said);
        }
    }
    lines
}

/// Who hears which topic: as declared, and as those read that say how far they are.
fn hears(declared: &BTreeMap<String, Vec<String>>, health: &[Health]) -> Vec<Line> {
    let mut lines = Vec::new();
    for (service, topics) in declared {
        let telling =
            health.iter().find(|health| health.service == service).filter(|health| !health.partitions.is_empty());
        let read: BTreeSet<_> =
            telling.iter().flat_map(|health| &health.partitions).map(|lag| lag.topic.as_str()).collect();
        let line = |topic: &str, seen| Line { service: service.clone(), topic: topic.to_owned(), seen };
        for topic in topics {
            let seen = match (telling, read.contains(topic.as_str())) {
                _ if service == NAME => Seen::Agrees,
                (None, _) => Seen::Quiet,
                (Some(_), true) => Seen::Agrees,
                // Another instance may read it: this one tells of its own partitions.
                (Some(_), false) => Seen::Quiet,
            };
            lines.push(line(topic, seen));
        }
        let undeclared = read.iter().filter(|topic| !topics.iter().any(|known| known == *topic));
        lines.extend(undeclared.take(FOREIGN).map(|topic| line(topic, Seen::Differs)));
    }
    lines
}

fn row(topic: &str, heard: &[Saying], declared: &BTreeMap<String, Vec<String>>) -> TopicRow {
    let owner = Topic::from_name(topic).map_or("nobody", Topic::owner);
    let on_it: Vec<_> = heard.iter().filter(|saying| saying.topic == topic).collect();
    let by = |event_type: &str| -> Vec<String> {
        let said = on_it.iter().filter(|saying| saying.event_type == event_type);
        said.map(|saying| service_of(&saying.source))
            .filter(|service| *service != owner)
            .map(|by| shortened(by, 60))
            .collect()
    };
    let known = types_of(topic).iter().map(|event_type| {
        let seen = if on_it.iter().any(|saying| saying.event_type == *event_type) { "heard" } else { "quiet" };
        TypeRow { event_type: (*event_type).to_owned(), seen, by: by(event_type) }
    });
    let foreign: BTreeSet<_> = on_it.iter().map(|saying| &saying.event_type).collect();
    let foreign = foreign.into_iter().filter(|event_type| !types_of(topic).contains(&event_type.as_str()));
    let foreign = foreign.take(FOREIGN).map(|event_type| TypeRow {
        event_type: event_type.clone(),
        seen: "foreign",
        by: by(event_type),
    });
    let hears = declared.iter().filter(|(_, topics)| topics.iter().any(|known| known == topic));
    TopicRow {
        topic: topic.to_owned(),
        owner,
        types: known.chain(foreign).collect(),
        hears: hears.map(|(service, _)| service.clone()).collect(),
        is_heard_here: is_heard_here(topic),
    }
}

/// What differs, in words.
fn differing(says: &[Line], hears: &[Line], rows: &[TopicRow]) -> Vec<String> {
    let is_wrong = |line: &&Line| line.seen == Seen::Differs;
    let said = says
        .iter()
        .filter(is_wrong)
        .map(|line| format!("{} was heard on {}, which is not its own", line.service, line.topic));
    let heard =
        hears.iter().filter(is_wrong).map(|line| format!("{} reads {} without declaring it", line.service, line.topic));
    let types = rows.iter().flat_map(|row| row.types.iter().filter(|of| of.seen == "foreign").map(move |of| (row, of)));
    let types = types.map(|(row, of)| {
        format!("{} was heard on {}, and nobody declares it", shortened(&of.event_type, 80), row.topic)
    });
    said.chain(heard).chain(types).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::samples::{Gauges, Lag};

    fn saying(topic: &str, source: &str, event_type: &str) -> Saying {
        Saying { topic: topic.to_owned(), source: source.to_owned(), event_type: event_type.to_owned() }
    }

    fn reading(service: &'static str, topics: &[&str]) -> Health {
        let lag =
            |topic: &&str| Lag { topic: (*topic).to_owned(), partition: "0".to_owned(), records: 0.0, seconds: 0.0 };
        let partitions = topics.iter().map(lag).collect();
        Health {
            service,
            state: "ready".to_owned(),
            checks: vec![],
            gauges: Gauges::default(),
            partitions,
            away: vec![],
        }
    }

    fn wrong(lines: &[Line]) -> Vec<(&str, &str)> {
        let wrong = lines.iter().filter(|line| line.seen == Seen::Differs);
        wrong.map(|line| (line.service.as_str(), line.topic.as_str())).collect()
    }

    #[test]
    fn every_service_and_the_console_are_declared() {
        let declared = declared();
        assert_eq!(declared.len(), 5);
        let own: Vec<_> = subscriptions().into_iter().map(|heard| heard.topic).collect();
        assert_eq!(declared[NAME], own);
    }

    #[test]
    fn whoever_speaks_on_a_topic_of_another_is_told_of() {
        let heard = [
            saying("orders.v1", "/order-svc", "order.placed.v1"),
            saying("orders.v1", "/payment-svc", "order.placed.v1"),
        ];
        let says = says(&heard);
        assert_eq!(wrong(&says), [("payment-svc", "orders.v1")]);
        let agrees = says.iter().find(|line| line.topic == "orders.v1" && line.service == "order-svc").unwrap();
        assert_eq!(agrees.seen, Seen::Agrees);
    }

    #[test]
    fn a_group_that_reads_what_it_does_not_declare_is_told_of() {
        let declared =
            BTreeMap::from([("stock-svc".to_owned(), vec!["orders.v1".to_owned(), "payments.v1".to_owned()])]);
        assert!(wrong(&hears(&declared, &[])).is_empty());
        let lines = hears(&declared, &[reading("stock-svc", &["orders.v1", "customers.v1"])]);
        assert_eq!(wrong(&lines), [("stock-svc", "customers.v1")]);
        let seen: Vec<_> = lines.iter().map(|line| line.seen).collect();
        assert_eq!(seen, [Seen::Agrees, Seen::Quiet, Seen::Differs], "what this instance does not read another may");
    }

    #[test]
    fn a_type_that_nobody_declares_is_foreign_and_one_that_was_not_heard_is_quiet() {
        let heard =
            [saying("stock.v1", "/stock-svc", "stock.reserved.v1"), saying("stock.v1", "/stock-svc", "stock.eaten.v1")];
        let row = row("stock.v1", &heard, &declared());
        let seen = |event_type: &str| row.types.iter().find(|of| of.event_type == event_type).map(|of| of.seen);
        let kinds = ["stock.reserved.v1", "stock.expired.v1", "stock.eaten.v1"].map(seen);
        assert_eq!(kinds, [Some("heard"), Some("quiet"), Some("foreign")]);
        assert_eq!(differing(&[], &[], &[row]).len(), 1);
    }
}
