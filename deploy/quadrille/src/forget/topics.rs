//! Every topic, and how long each keeps what it has.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use shared_events::Topic;

use super::Places;
use super::person::Person;
use super::places::Place;
use super::report::Gone;
use super::shop::Shop;
use crate::cluster::{ANSWER, Cluster, Connection};
use crate::records;

/// What a broker's own cleaning is late by, at most: it looks every few minutes.
const CLEANING: TimeDelta = TimeDelta::hours(1);

/// Learns the words by which events name the person, which databases may have forgotten already.
pub(super) async fn learn(shop: &Shop, mut person: Person) -> anyhow::Result<Person> {
    let cluster = shop.cluster().clone();
    let learnt = tokio::task::spawn_blocking(move || {
        let connection = cluster.connect("quadrille-forget")?;
        let places = records::places(&connection, &[Topic::Orders.name(), Topic::Customers.name()])?;
        records::each_kept(&connection, &places, |message| {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default());
            person.learn_from(&key, message.payload().unwrap_or_default());
            Ok(())
        })?;
        anyhow::Ok(person)
    });
    learnt.await?
}

/// Reads every topic once.
pub(super) async fn search(shop: &Shop, person: Person) -> anyhow::Result<(Person, Places)> {
    let cluster = shop.cluster().clone();
    writeln!(std::io::stderr(), "looking through all topics")?;
    tokio::task::spawn_blocking(move || read(&cluster, person)).await?
}

fn read(cluster: &Cluster, person: Person) -> anyhow::Result<(Person, Places)> {
    let connection = cluster.connect("quadrille-forget")?;
    let mut places = Places::new();
    records::each_kept(&connection, &all(&connection)?, |message| {
        let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        let text = format!("{} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
        if let Some(about) = person.named_in(&text) {
            let at = message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis);
            places.entry(Place::Topic(message.topic().to_owned())).or_default().add(about, at);
        }
        Ok(())
    })?;
    Ok((person, places))
}

/// The partitions of all topics but Kafka's own.
fn all(connection: &Connection) -> anyhow::Result<Vec<(String, i32)>> {
    let metadata = connection.metadata(ANSWER)?;
    let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    let places =
        topics.flat_map(|topic| topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id())));
    Ok(places.collect())
}

/// When the topics will have let go of the person. `archives` says it of the archives.
pub(super) async fn gone(
    shop: &Shop,
    after: &Places,
    archives: &BTreeMap<Place, Gone>,
) -> anyhow::Result<BTreeMap<Place, Gone>> {
    let left = after.iter().filter_map(|(place, found)| match place {
        Place::Topic(name) if found.of_the_person() > 0 => Some((name.as_str(), found.newest)),
        _ => None,
    });
    let left: Vec<_> = left.collect();
    if left.is_empty() {
        return Ok(BTreeMap::new());
    }
    if shop.keeps_no_events {
        return Ok(left
            .iter()
            .map(|(name, _)| (Place::Topic((*name).to_owned()), with_the_run(name, archives)))
            .collect());
    }
    let settings = settings(shop.cluster(), &left.iter().map(|(name, _)| *name).collect::<Vec<_>>()).await?;
    let gone = left.iter().zip(settings).map(|((name, newest), settings)| {
        let newest = newest.unwrap_or_else(Utc::now);
        (Place::Topic((*name).to_owned()), over(newest, &settings))
    });
    Ok(gone.collect())
}

/// A topic of the embedded broker ends with the run, and the next run fills it from the archives.
fn with_the_run(topic: &str, archives: &BTreeMap<Place, Gone>) -> Gone {
    let is_compacted = Topic::from_name(topic).is_some_and(Topic::compacted);
    let last = archives.values().filter_map(|gone| if let Gone::By(day, _) = gone { Some(*day) } else { None }).max();
    match last.filter(|_| !is_compacted) {
        Some(day) => Gone::By(day, "its archive's retention, or earlier with this run"),
        None => Gone::WithTheRun,
    }
}

type Settings = BTreeMap<String, String>;

async fn settings(cluster: &Cluster, topics: &[&str]) -> anyhow::Result<Vec<Settings>> {
    let admin: AdminClient<DefaultClientContext> = cluster.client().create().context("Kafka's admin client")?;
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let answers = admin.describe_configs(&asked, &options).await.context("asking Kafka for topics' settings")?;
    let known = |answer: Result<rdkafka::admin::ConfigResource, _>| {
        let entries = answer.map(|answer| answer.entries).unwrap_or_default();
        entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
    };
    Ok(answers.into_iter().map(known).collect())
}

/// When a record that was written then will be gone. Kafka lets go of whole segments, and a segment takes records for a while.
fn over(newest: DateTime<Utc>, settings: &Settings) -> Gone {
    let milliseconds = |name: &str| {
        let value: Option<i64> = settings.get(name).and_then(|value| value.parse().ok());
        // none means for ever, and so does more than a thousand years
        value.filter(|value| (0..31_536_000_000_000).contains(value)).map(TimeDelta::milliseconds)
    };
    let segment = milliseconds("segment.ms").unwrap_or_default();
    let policy = settings.get("cleanup.policy").map_or("", String::as_str);
    if policy.contains("delete") {
        return match milliseconds("retention.ms") {
            Some(retention) => Gone::By(newest + retention + segment + CLEANING, "its retention"),
            None => Gone::Never("it keeps everything: give it a retention.ms"),
        };
    }
    match milliseconds("max.compaction.lag.ms") {
        Some(lag) => Gone::By(newest + lag + lag.min(segment) + CLEANING, "compaction behind customer.forgotten"),
        None => Gone::Never("when it is compacted isn't bounded: give it a max.compaction.lag.ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(of: &[(&str, &str)]) -> Settings {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const DAY: &str = "86400000";

    #[test]
    fn a_record_is_gone_once_its_segment_is_full_and_over() {
        let (written, day) = (DateTime::UNIX_EPOCH, TimeDelta::days(1));
        let of = |policy: &str, more: &[(&str, &str)]| {
            over(written, &settings(&[&[("cleanup.policy", policy)], more].concat()))
        };
        let history = [("retention.ms", DAY), ("segment.ms", DAY)];
        assert_eq!(of("delete", &history), Gone::By(written + day * 2 + CLEANING, "its retention"));
        let kept = [("retention.ms", "-1"), ("segment.ms", DAY)];
        assert!(matches!(of("delete", &kept), Gone::Never(_)));
        let bounded = [("max.compaction.lag.ms", DAY), ("segment.ms", "604800000")];
        let behind = "compaction behind customer.forgotten";
        assert_eq!(of("compact", &bounded), Gone::By(written + day * 2 + CLEANING, behind));
        let unbounded = [("max.compaction.lag.ms", "9223372036854775807"), ("segment.ms", DAY)];
        assert!(matches!(of("compact", &unbounded), Gone::Never(_)));
    }

    #[test]
    fn a_topic_of_the_embedded_broker_comes_back_as_long_as_the_archives_have_it() {
        let archive = Place::Table { database: "order_svc".to_owned(), table: "outbox_archive".to_owned() };
        let archives = BTreeMap::from([(archive, Gone::By(DateTime::UNIX_EPOCH, "its retention"))]);
        assert!(matches!(with_the_run("orders.v1", &archives), Gone::By(day, _) if day == DateTime::UNIX_EPOCH));
        assert_eq!(with_the_run("customers.v1", &archives), Gone::WithTheRun);
        assert_eq!(with_the_run("orders.v1", &BTreeMap::new()), Gone::WithTheRun);
    }
}
