//! Rules 7, 8 and 12: outboxes, topics, dead letters.

use std::collections::BTreeMap;

use super::{evidence::Evidence, findings::Broken};
use crate::records::{OF_PRESENT, Record};

/// Rule 7, of what is said of orders.
pub(super) fn published(evidence: &Evidence, broken: &mut Broken) {
    broken.figures.count("events", evidence.records.len());
    broken.figures.count("in outboxes", evidence.unpublished.len());
    if !evidence.topics_are_whole {
        broken.figures.note("topics have let go of their oldest");
    }
    let mut there = BTreeMap::<(&str, &str), BTreeMap<u64, &Record>>::new();
    for record in &evidence.records {
        there.entry((&record.topic, &record.key)).or_default().insert(record.sequence, record);
    }
    let nothing = BTreeMap::new();
    let said = evidence.said.iter().map(|((topic, key), said)| ((topic.as_str(), key.as_str()), *said));
    let said: BTreeMap<_, _> = said.collect();
    for ((topic, key), said) in &said {
        let found = there.get(&(*topic, *key)).unwrap_or(&nothing);
        // what a topic has let go is before all that it has
        let first = match (evidence.topics_are_whole, found.keys().next()) {
            (true, _) => 1,
            (false, Some(first)) => *first,
            (false, None) => continue,
        };
        let is_waiting =
            |sequence: u64| evidence.unpublished.contains(&((*topic).to_owned(), (*key).to_owned(), sequence));
        let missing = (first..=*said).filter(|sequence| !found.contains_key(sequence) && !is_waiting(*sequence));
        for sequence in missing {
            broken.order(
                key,
                format!("event {sequence} of {said} on {topic} was committed, and is neither there nor in the outbox"),
            );
        }
    }
    for ((topic, key), found) in &there {
        let said = said.get(&(*topic, *key)).copied().unwrap_or_default();
        for (sequence, record) in found.range(said + 1..) {
            let (kind, id) = (&record.event_type, &record.id);
            broken
                .order(key, format!("{kind} {id} is on {topic} as event {sequence}, and its service has said {said}"));
        }
    }
}

/// Rule 7, of products and customers. Compaction may drop any event but a key's newest, so that one is looked for.
pub(super) fn present_published(evidence: &Evidence, broken: &mut Broken) {
    for (topic, figure) in OF_PRESENT.into_iter().zip(["products announced", "customers announced"]) {
        broken.figures.count(figure, evidence.present.iter().filter(|record| record.topic == topic).count());
    }
    let mut newest = BTreeMap::<(&str, &str), &Record>::new();
    for record in &evidence.present {
        let known = newest.entry((&record.topic, &record.key)).or_insert(record);
        if record.sequence > known.sequence {
            *known = record;
        }
    }
    for ((topic, key), said) in &evidence.present_said {
        let found = newest.get(&(topic.as_str(), key.as_str())).map_or(0, |record| record.sequence);
        if found < *said && !evidence.unpublished.contains(&(topic.clone(), key.clone(), *said)) {
            let what = format!("event {said} on {topic} was committed, and is neither there nor in the outbox");
            broken.add(named(topic, key).0, format!("{what}: {found} is the newest there"));
        }
    }
    for ((topic, key), record) in newest {
        let said = evidence.present_said.get(&(topic.to_owned(), key.to_owned())).copied().unwrap_or_default();
        let Record { event_type, id, sequence, .. } = record;
        if *sequence > said {
            let (of, owner) = named(topic, key);
            let what = format!("{event_type} {id} is on {topic} as event {sequence}, and {owner} has said {said}");
            broken.add(of, what);
        }
    }
}

/// What a key of a compacted topic names, and the service that speaks for it.
fn named(topic: &str, key: &str) -> (String, &'static str) {
    match topic {
        "customers.v1" => (format!("customer {key}"), "order-svc"),
        _ => (format!("SKU {key}"), "stock-svc"),
    }
}

/// Rule 8.
pub(super) fn contiguous(evidence: &Evidence, broken: &mut Broken) {
    let (mut told, mut twice) = (BTreeMap::<_, BTreeMap<u64, &str>>::new(), 0);
    for Record { topic, key, id, event_type, sequence, .. } in &evidence.records {
        let known = told.entry((topic, key)).or_default();
        let expected =
            known.last_key_value().map_or(if evidence.topics_are_whole { 1 } else { *sequence }, |(last, _)| last + 1);
        match known.get(sequence) {
            Some(before) if before == id => twice += 1,
            Some(before) => {
                broken.order(key, format!("{event_type} {id} on {topic} has sequence {sequence}, as {before} has"))
            }
            None => {
                if *sequence != expected {
                    let what =
                        format!("{event_type} {id} on {topic} has sequence {sequence}, where {expected} was to come");
                    broken.order(key, what);
                }
                known.insert(*sequence, id);
            }
        }
    }
    broken.figures.count("keys", told.len());
    broken.figures.count("events twice", twice);
}

/// Rule 12.
pub(super) fn nothing_lies(evidence: &Evidence, broken: &mut Broken) {
    for lying in &evidence.lying {
        let why = lying.why.as_deref().unwrap_or("waits behind another");
        broken
            .order(&lying.key, format!("{} of {} has an event of {}: {why}", lying.table, lying.service, lying.topic));
    }
    broken.figures.count("dead letters, parked keys and parked rows of outboxes", evidence.lying.len());
}
