//! The topics of the shop with their partitions and retention.

use quadrille_servers::kafka::Topic;
use shared_events::Topic as Name;

use crate::service::Service;

/// The same for every topic that is keyed by order id.
const PARTITIONS: i32 = 6;
/// Longer than the longest outage that a service is to survive.
const HISTORY_DAYS: u64 = 7;
const DEAD_LETTER_DAYS: u64 = 30;

/// Every topic of the shop, dead letters of every consumer group included.
pub fn all() -> Vec<Topic> {
    let shop = Name::ALL.into_iter().map(|topic| {
        let keep = if topic.compacted() { ("cleanup.policy", "compact".to_owned()) } else { retention(HISTORY_DAYS) };
        made(topic.name().to_owned(), keep)
    });
    let dead = Service::WITH_OUTBOX
        .into_iter()
        .map(|service| made(format!("{}.dlq", service.name()), retention(DEAD_LETTER_DAYS)));
    shop.chain(dead).collect()
}

fn made(name: String, (key, value): (&str, String)) -> Topic {
    Topic { name, partitions: PARTITIONS, config: vec![(key.to_owned(), value)] }
}

fn retention(days: u64) -> (&'static str, String) {
    ("retention.ms", (days * 24 * 60 * 60 * 1000).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_keyed_by_order_have_the_same_partition_count_and_products_are_compacted() {
        let topics = all();
        assert!(topics.iter().all(|topic| topic.partitions == PARTITIONS));
        let products = topics.iter().find(|topic| topic.name == "products.v1").unwrap();
        assert_eq!(products.config, [("cleanup.policy".to_owned(), "compact".to_owned())]);
    }

    #[test]
    fn every_consumer_group_has_a_topic_for_its_dead_letters() {
        let topics = all();
        assert_eq!(topics.iter().filter(|topic| topic.name.ends_with("-svc.dlq")).count(), 4);
    }
}
