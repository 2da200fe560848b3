//! What is in the topics, read by a Kafka client of our own that knows nothing of the services' code.

use std::collections::BTreeMap;

use anyhow::{bail, ensure};
use quadrille::cluster::Cluster;
use quadrille::records::{self, Record};

use super::points::until;

/// Reads the topics until every wanted type is on its topic for the key; returns all events of that key, each once. Checks
/// that they are numbered 1, 2, 3 on each topic.
pub(super) async fn of_key(bootstrap: &str, key: &str, wanted: &[(&str, &str)]) -> anyhow::Result<Vec<Record>> {
    let read = || async {
        let mut events = all(bootstrap, &records::OF_ORDERS).await?;
        events.retain(|event| event.key == key);
        let missing: Vec<_> = wanted
            .iter()
            .filter(|(topic, name)| !events.iter().any(|event| event.topic == *topic && event.event_type == *name))
            .collect();
        ensure!(missing.is_empty(), "not in their topics: {missing:?}");
        Ok(events)
    };
    let mut events = until(read).await?;
    must_be_contiguous(&events)?;
    events.sort_by(|a, b| (&a.topic, a.sequence).cmp(&(&b.topic, b.sequence)));
    events.dedup_by(|a, b| a.id == b.id);
    Ok(events)
}

/// Everything that these topics hold, each key's events in the order of their topic.
pub(super) async fn all(bootstrap: &str, topics: &[&'static str]) -> anyhow::Result<Vec<Record>> {
    let (cluster, topics) = (Cluster(bootstrap.into()), topics.to_vec());
    tokio::task::spawn_blocking(move || {
        let connection = cluster.connect("quadrille-accept")?;
        let mut found = Vec::new();
        records::each_kept(&connection, &records::places(&connection, &topics)?, |message| {
            found.push(Record::of(message)?);
            Ok(())
        })?;
        Ok(found)
    })
    .await?
}

/// Each key's events on a topic are numbered 1, 2, 3, and what comes twice is what it was. Returns how many come twice.
pub(super) fn must_be_contiguous(events: &[Record]) -> anyhow::Result<usize> {
    let (mut told, mut twice) = (BTreeMap::<_, Vec<&str>>::new(), 0);
    for Record { topic, key, id, event_type, sequence, .. } in events {
        let ids = told.entry((topic, key)).or_default();
        match usize::try_from(*sequence)?.checked_sub(1) {
            Some(next) if next == ids.len() => ids.push(id),
            Some(known) if ids.get(known) == Some(&id.as_str()) => twice += 1,
            _ => bail!("{event_type} {id} of {key} on {topic} has sequence {sequence} after {} others", ids.len()),
        }
    }
    Ok(twice)
}
