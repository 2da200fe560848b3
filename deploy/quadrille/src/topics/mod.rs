//! The topics of the shop, and `quadrille topics`: makes them, or shows what is in a cluster.

mod create;
pub(crate) mod overview;

use std::{io::Write, time::Duration};

use clap::{Args, Subcommand};
use shared_events::Topic as Name;

use crate::cluster::{ANSWER, Cluster, ClusterArgs};
use crate::service::Service;

pub use create::{Made, ensure};

/// The same for every topic that is keyed by order id.
const PARTITIONS: i32 = 6;
/// Longer than the longest outage that a service is to survive.
const HISTORY_DAYS: u64 = 7;
const DEAD_LETTER_DAYS: u64 = 30;
/// How long a Kafka that is being started is waited for.
const START: Duration = Duration::from_secs(120);

/// What to do with topics, and on which Kafka.
#[derive(Debug, Args)]
pub struct TopicsArgs {
    /// What to do; without it, topics and consumer groups are shown.
    #[command(subcommand)]
    action: Option<Action>,
    /// Shows every partition by itself.
    #[arg(long)]
    partitions: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes the topics of the shop that aren't there. Those that are there are left as they are.
    Create {
        /// On how many brokers each partition is kept.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=100))]
        replication: i32,
    },
}

/// Does what is asked for and writes the answer to `out`. Fails if a topic of the shop has too few partitions.
pub async fn topics(arguments: &TopicsArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let cluster = arguments.cluster.cluster()?;
    match arguments.action {
        Some(Action::Create { replication }) => make(&cluster, replication, out).await,
        None => {
            let partitions = arguments.partitions;
            let shown = tokio::task::spawn_blocking(move || overview::read(&cluster, ANSWER)).await??;
            shown.print(partitions, out)?;
            for line in shown.absent() {
                writeln!(std::io::stderr(), "{line}")?;
            }
            let missing = shown.missing();
            if !missing.is_empty() {
                let names = missing.join(", ");
                writeln!(std::io::stderr(), "not there: {names} (quadrille topics create makes them)")?;
            }
            Ok(())
        }
    }
}

async fn make(cluster: &Cluster, replication: i32, out: &mut impl Write) -> anyhow::Result<()> {
    let Made { created, there, warnings } = ensure(cluster, &all(), replication, START).await?;
    for warning in warnings {
        writeln!(std::io::stderr(), "{warning}")?;
    }
    for topic in created {
        writeln!(out, "created {topic}")?;
    }
    if there > 0 {
        writeln!(out, "{there} topics were there")?;
    }
    Ok(())
}

/// A topic that must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// How many partitions it gets when it is made.
    pub partitions: i32,
    /// Its settings, as Kafka names them; what isn't here is the broker's default.
    pub config: Vec<(&'static str, String)>,
}

/// Every topic of the shop, dead letters of every consumer group included.
pub fn all() -> Vec<Topic> {
    let shop = Name::ALL.into_iter().map(|topic| {
        let config = match topic {
            Name::Customers => forgetting(present()),
            topic if topic.compacted() => present(),
            _ => history(HISTORY_DAYS),
        };
        Topic { name: topic.name().to_owned(), partitions: PARTITIONS, config }
    });
    let dead = Service::WITH_OUTBOX.into_iter().map(|service| Topic {
        name: format!("{}.dlq", service.name()),
        partitions: PARTITIONS,
        config: history(DEAD_LETTER_DAYS),
    });
    shop.chain(dead).collect()
}

/// The latest of each key is kept for ever.
fn present() -> Vec<(&'static str, String)> {
    vec![("cleanup.policy", "compact".to_owned())]
}

/// What is no longer a key's latest is taken out within a bounded time, since it may be a person who is forgotten.
fn forgetting(mut config: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    config.push(("max.compaction.lag.ms", milliseconds(HISTORY_DAYS)));
    config
}

fn milliseconds(days: u64) -> String {
    (days * 24 * 60 * 60 * 1000).to_string()
}

/// Everything is kept for a while.
fn history(days: u64) -> Vec<(&'static str, String)> {
    vec![("cleanup.policy", "delete".to_owned()), ("retention.ms", milliseconds(days))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_keyed_by_order_have_the_same_partition_count_and_what_tells_the_present_is_compacted() {
        let topics = all();
        assert!(topics.iter().all(|topic| topic.partitions == PARTITIONS));
        let compacted: Vec<_> =
            topics.iter().filter(|topic| topic.config[0] == present()[0]).map(|topic| &topic.name).collect();
        assert_eq!(compacted, crate::records::OF_PRESENT, "which the audit reads as such");
        assert_eq!(present(), [("cleanup.policy", "compact".to_owned())]);
    }

    #[test]
    fn who_is_forgotten_is_taken_out_of_the_customers_topic_within_a_bounded_time() {
        let topics = all();
        let customers = topics.iter().find(|topic| topic.name == "customers.v1").unwrap();
        let config = [("cleanup.policy", "compact".to_owned()), ("max.compaction.lag.ms", "604800000".to_owned())];
        assert_eq!(customers.config, config);
    }

    #[test]
    fn every_consumer_group_has_a_topic_for_its_dead_letters() {
        let topics = all();
        assert_eq!(topics.iter().filter(|topic| topic.name.ends_with("-svc.dlq")).count(), 4);
    }
}
