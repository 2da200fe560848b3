//! What a cluster holds: topics with the offsets of their partitions, and how far each consumer group is behind.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};

use crate::cluster::{Cluster, Connection, numbers};
use crate::service::Service;
use crate::table::{aligned, line};

type Place = (String, i32);

#[derive(Debug, Default)]
pub(crate) struct Overview {
    topics: BTreeMap<String, Vec<Kept>>,
    groups: Vec<Group>,
    /// Groups whose positions Kafka didn't tell, and why.
    untold: Vec<String>,
}

/// What a partition holds: the records from `first` to before `next`, apart from those that compaction took out.
#[derive(Debug, Clone, Copy)]
struct Kept {
    first: i64,
    next: i64,
}

#[derive(Debug)]
struct Group {
    name: String,
    members: usize,
    /// The next offset of every partition of the topics in which it has committed anything.
    positions: BTreeMap<String, Vec<Option<i64>>>,
}

impl Kept {
    /// The records that are still to be handled.
    fn behind(self, position: Option<i64>) -> i64 {
        (self.next - position.unwrap_or(self.first).max(self.first)).max(0)
    }
}

/// A partition that a group reads: where the group goes on, and where the partition ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub topic: String,
    pub partition: i32,
    pub at: i64,
    pub end: i64,
}

/// Asks the brokers, each question for so long at most. Blocks.
pub(crate) fn read(cluster: &Cluster, patience: Duration) -> anyhow::Result<Overview> {
    let connection = cluster.connect("quadrille-topics")?;
    let metadata = connection.metadata(patience)?;
    let shown = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    let places: Vec<Place> = shown
        .flat_map(|topic| topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id())))
        .collect();
    let topics = topics(&connection, &places)?;
    let (groups, untold) = groups(cluster, &connection, &topics, patience)?;
    Ok(Overview { topics, groups, untold })
}

fn topics(connection: &Connection, places: &[Place]) -> anyhow::Result<BTreeMap<String, Vec<Kept>>> {
    let mut topics: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
    if places.is_empty() {
        return Ok(topics);
    }
    let (first, next) = (connection.offsets(places, Offset::Beginning)?, connection.offsets(places, Offset::End)?);
    let mut places = places.to_vec();
    places.sort();
    for place in places {
        let known = |offsets: &HashMap<Place, i64>| offsets.get(&place).copied().unwrap_or_default();
        let kept = Kept { first: known(&first), next: known(&next) };
        topics.entry(place.0).or_default().push(kept);
    }
    Ok(topics)
}

/// The groups that have committed anything in these topics, and those of which that isn't known.
fn groups(
    cluster: &Cluster,
    connection: &Connection,
    topics: &BTreeMap<String, Vec<Kept>>,
    patience: Duration,
) -> anyhow::Result<(Vec<Group>, Vec<String>)> {
    let list = connection.consumer.fetch_group_list(None, patience).context("asking Kafka for consumer groups")?;
    let (mut groups, mut untold) = (Vec::new(), Vec::new());
    for group in list.groups() {
        match positions(cluster, group.name(), topics, patience) {
            Ok(positions) if positions.is_empty() => {}
            Ok(positions) => {
                groups.push(Group { name: group.name().to_owned(), members: group.members().len(), positions });
            }
            Err(error) => untold.push(format!("how far the group {} is, Kafka doesn't tell: {error:#}", group.name())),
        }
    }
    groups.sort_by(|one, other| one.name.cmp(&other.name));
    Ok((groups, untold))
}

/// A connection that names the group, without joining it, is told what the group has committed.
fn positions(
    cluster: &Cluster,
    group: &str,
    topics: &BTreeMap<String, Vec<Kept>>,
    patience: Duration,
) -> anyhow::Result<BTreeMap<String, Vec<Option<i64>>>> {
    let mut list = TopicPartitionList::new();
    for (topic, partitions) in topics {
        for partition in 0..i32::try_from(partitions.len())? {
            list.add_partition(topic, partition);
        }
    }
    if list.count() == 0 {
        return Ok(BTreeMap::new());
    }
    let committed = numbers(&cluster.connect(group)?.consumer.committed_offsets(list, patience)?);
    let of_topic = |topic: &String| -> Vec<Option<i64>> {
        (0_i32..).zip(&topics[topic]).map(|(id, _)| committed.get(&(topic.clone(), id)).copied()).collect()
    };
    let positions = topics.keys().map(|topic| (topic.clone(), of_topic(topic)));
    Ok(positions.filter(|(_, positions)| positions.iter().any(Option::is_some)).collect())
}

impl Overview {
    /// How many members a group has, and where it is in each partition of the topics in which it has committed anything; none if
    /// that isn't known.
    pub fn of_group(&self, name: &str) -> Option<(usize, Vec<Position>)> {
        let group = self.groups.iter().find(|group| group.name == name)?;
        let of_topic = |(topic, positions): (&String, &Vec<Option<i64>>)| {
            let all = (0_i32..).zip(&self.topics[topic]).zip(positions);
            let topic = topic.clone();
            let position = move |((partition, kept), at): ((i32, &Kept), &Option<i64>)| Position {
                topic: topic.clone(),
                partition,
                at: at.unwrap_or(kept.first).max(kept.first),
                end: kept.next,
            };
            all.map(position).collect::<Vec<_>>()
        };
        Some((group.members, group.positions.iter().flat_map(of_topic).collect()))
    }

    /// Two tables; a line for each topic, or for each partition.
    pub fn print(&self, partitions: bool, out: &mut impl Write) -> io::Result<()> {
        let (topics, groups) =
            if partitions { (self.partitions(), self.positions()) } else { (self.totals(), self.lags()) };
        aligned(&topics, out)?;
        writeln!(out)?;
        if groups.len() == 1 {
            return writeln!(out, "No consumer group has committed anything.");
        }
        aligned(&groups, out)
    }

    /// Which topics of the shop are not there.
    pub fn missing(&self) -> Vec<String> {
        super::all().into_iter().map(|topic| topic.name).filter(|name| !self.topics.contains_key(name)).collect()
    }

    /// What an operator would look for in the tables and not find, a line each.
    pub fn absent(&self) -> Vec<String> {
        let mut lines = self.untold.clone();
        for service in Service::WITH_OUTBOX.map(Service::name) {
            match self.groups.iter().find(|group| group.name == service) {
                _ if self.untold.iter().any(|line| line.contains(service)) => {}
                None => {
                    lines.push(format!("{service} has handled nothing of these topics: it never ran, or they are new"))
                }
                Some(group) if group.members == 0 => lines.push(format!("{service} is away: nobody is in its group")),
                Some(_) => {}
            }
        }
        lines
    }

    fn totals(&self) -> Vec<Vec<String>> {
        let mut lines = vec![line(["TOPIC", "PARTITIONS", "RECORDS", "OFFSETS OF EACH PARTITION"])];
        for (topic, kept) in &self.topics {
            let records: i64 = kept.iter().map(|kept| kept.next - kept.first).sum();
            let offsets: Vec<_> = kept.iter().map(|kept| format!("{}..{}", kept.first, kept.next)).collect();
            lines.push(line([topic, &kept.len().to_string(), &records.to_string(), &offsets.join(" ")]));
        }
        lines
    }

    fn partitions(&self) -> Vec<Vec<String>> {
        let mut lines = vec![line(["TOPIC", "PARTITION", "FIRST", "NEXT"])];
        for (topic, kept) in &self.topics {
            for (id, kept) in kept.iter().enumerate() {
                lines.push(line([topic, &id.to_string(), &kept.first.to_string(), &kept.next.to_string()]));
            }
        }
        lines
    }

    fn lags(&self) -> Vec<Vec<String>> {
        let mut lines = vec![line(["GROUP", "MEMBERS", "TOPIC", "LAG"])];
        for group in &self.groups {
            for (topic, positions) in &group.positions {
                let lag: i64 = self.topics[topic].iter().zip(positions).map(|(kept, at)| kept.behind(*at)).sum();
                lines.push(line([&group.name, &group.members.to_string(), topic, &lag.to_string()]));
            }
        }
        lines
    }

    fn positions(&self) -> Vec<Vec<String>> {
        let mut lines = vec![line(["GROUP", "TOPIC", "PARTITION", "GOES ON AT", "NEXT", "LAG"])];
        for group in &self.groups {
            for (topic, positions) in &group.positions {
                for (id, (kept, at)) in self.topics[topic].iter().zip(positions).enumerate() {
                    let position = at.map_or("-".to_owned(), |at| at.to_string());
                    let (next, lag) = (kept.next.to_string(), kept.behind(*at).to_string());
                    lines.push(line([&group.name, topic, &id.to_string(), &position, &next, &lag]));
                }
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_never_ran_one_that_is_away_and_a_group_that_is_not_told_are_named() {
        let group = |name: &str, members| Group { name: name.to_owned(), members, positions: BTreeMap::new() };
        let overview = Overview {
            groups: vec![group("order-svc", 1), group("stock-svc", 0)],
            untold: vec!["how far the group payment-svc is, Kafka doesn't tell: no answer".to_owned()],
            ..Overview::default()
        };
        let absent = overview.absent();
        assert_eq!(absent.len(), 3, "{absent:?}");
        assert!(absent[0].contains("payment-svc") && absent[1].starts_with("stock-svc is away"), "{absent:?}");
        assert!(absent[2].starts_with("notification-svc has handled nothing"), "{absent:?}");
    }

    #[test]
    fn a_group_is_behind_by_what_is_kept_and_not_handled() {
        let kept = Kept { first: 10, next: 30 };
        assert_eq!(kept.behind(Some(25)), 5);
        assert_eq!(kept.behind(Some(3)), 20, "retention took away what it had not read");
        assert_eq!(kept.behind(None), 20, "it has read nothing of this partition");
        assert_eq!(kept.behind(Some(30)), 0);
    }
}
