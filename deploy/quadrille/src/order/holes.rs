//! Events of an order that were announced and that are not in their topic.

use std::collections::BTreeMap;

use super::report::Event;

/// A line for each hole in the sequence of a topic. What a topic has let go is before all that it has, and no hole.
pub(super) fn lines(events: &[Event]) -> Vec<String> {
    let mut topics = BTreeMap::<&str, Vec<u64>>::new();
    for Event { record, .. } in events {
        topics.entry(&record.topic).or_default().push(record.sequence);
    }
    let mut lines = Vec::new();
    for (topic, mut sequences) in topics {
        sequences.sort_unstable();
        for pair in sequences.windows(2) {
            if let [before, after] = *pair
                && after > before + 1
            {
                lines.push(format!(
                    "{topic} has event {before} of the order and then event {after}: {} between them were announced and are not \
                     there",
                    after - before - 1
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Record;

    fn events(of: &[(&str, u64)]) -> Vec<Event> {
        let event = |(topic, sequence): &(&str, u64)| {
            let record = Record {
                topic: (*topic).to_owned(),
                partition: 0,
                offset: 0,
                sent_at: None,
                key: String::new(),
                id: String::new(),
                event_type: String::new(),
                sequence: *sequence,
                source: String::new(),
                made_at: None,
                caused_by: None,
            };
            Event { record, heard_by: vec![], ignored: None }
        };
        of.iter().map(event).collect()
    }

    #[test]
    fn what_is_missing_in_the_middle_of_a_topic_is_told() {
        let holes = lines(&events(&[("stock.v1", 1), ("orders.v1", 1), ("stock.v1", 4), ("orders.v1", 2)]));
        let hole =
            "stock.v1 has event 1 of the order and then event 4: 2 between them were announced and are not there";
        assert_eq!(holes, [hole]);
    }

    #[test]
    fn what_a_topic_has_let_go_is_no_hole() {
        assert_eq!(lines(&events(&[("stock.v1", 3), ("stock.v1", 4)])), Vec::<String>::new());
    }
}
