//! Which rows may go out beside others, partition by partition.
//!
//! A producer numbers what it sends to a partition, and a broker that knows the producer takes only the number that comes
//! next. But a broker that doesn't know the producer yet takes **any** number. So while the first request of a partition is
//! under way, a second one could land although the first was refused (a new partition without a leader, a row that is too
//! large, too few replicas). librdkafka concludes from the second's success that the first is there too, and reports rows as
//! delivered that nobody has.
//!
//! Therefore the first row of a partition goes alone. What follows is held until the broker has acknowledged that row. A
//! topic that is given more partitions has other first rows: its producer is given up, and a new one begins with them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::producer::Partitioner;
use service_kit::consumer::partition_of;

use crate::publisher::OutboxRow;

/// A partition that was sent nothing for as long is treated as new. A broker forgets a producer that is silent for long
/// (`producer.id.expiration.ms`, a day by default), or whose topic was deleted and made again.
const PROVEN_FOR: Duration = Duration::from_secs(60);

/// How many partitions each topic has, as the client knew when it last chose one.
///
/// It chooses as `murmur2_random` does, Java's default, so that other clients find a key in the same partition.
#[derive(Debug, Default)]
pub(super) struct Counts {
    known: Mutex<HashMap<String, i32>>,
    /// A topic has more or fewer than before.
    changed: AtomicBool,
}

impl Partitioner for Counts {
    fn partition(&self, topic: &str, key: Option<&[u8]>, count: i32, _is_available: impl Fn(i32) -> bool) -> i32 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(topic) {
            None => drop(known.insert(topic.to_owned(), count)),
            Some(before) if *before != count => {
                *before = count;
                self.changed.store(true, Ordering::Release);
            }
            Some(_) => {}
        }
        drop(known);
        // Keys of rows are texts.
        partition_of(key.and_then(|key| str::from_utf8(key).ok()).unwrap_or_default(), count)
    }
}

/// A topic by its place in the list, and a partition.
type Place = (usize, i32);
/// Where rows of a topic count as sent to until the client has told how many partitions it has.
const UNKNOWN: i32 = -1;

/// What a producer has sent to one partition.
#[derive(Debug, Default)]
struct Partition {
    /// When a row was last sent there. Only of partitions that have acknowledged one.
    proven: Option<Instant>,
    /// The row that went first and is not acknowledged yet.
    first: Option<i64>,
    /// What waits for that acknowledgement, in order.
    held: VecDeque<OutboxRow>,
}

#[derive(Debug)]
struct Topic {
    name: String,
    /// How many partitions it has, or [`UNKNOWN`].
    count: i32,
}

/// What one producer knows of the partitions it sends to.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    counts: Arc<Counts>,
    topics: Vec<Topic>,
    by_name: HashMap<String, usize>,
    partitions: HashMap<Place, Partition>,
    /// The rows that went first, with their places and keys.
    firsts: HashMap<i64, (Place, String)>,
}

impl Partitions {
    pub fn new(counts: Arc<Counts>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// Whether the row may be sent now. Otherwise it is held.
    pub fn admit(&mut self, row: &OutboxRow, now: Instant) -> bool {
        let place = self.place(row);
        let partition = self.partitions.entry(place).or_default();
        if let Some(sent) = &mut partition.proven
            && now.saturating_duration_since(*sent) < PROVEN_FOR
        {
            *sent = now;
            return true;
        }
        if partition.first.is_some() {
            partition.held.push_back(row.clone());
            return false;
        }
        self.goes_first(place, row);
        true
    }

    /// Whether a topic has other partitions than when its first row was sent: rows may go where none is proven.
    pub fn outgrown(&self) -> bool {
        self.counts.changed.load(Ordering::Acquire)
    }

    fn goes_first(&mut self, place: Place, row: &OutboxRow) {
        let partition = self.partitions.entry(place).or_default();
        partition.proven = None;
        partition.first = Some(row.id);
        self.firsts.insert(row.id, (place, row.key.clone()));
    }

    /// The row was acknowledged. If it went first its partition is proven, and what waited for that is to be admitted anew.
    pub fn acknowledged(&mut self, id: i64) -> VecDeque<OutboxRow> {
        // Nearly always empty: the rows of a long drain cost nothing here.
        if self.firsts.is_empty() {
            return VecDeque::new();
        }
        let Some(((topic, sent_to), key)) = self.firsts.remove(&id) else { return VecDeque::new() };
        let held = self.partitions.remove(&(topic, sent_to)).map(|partition| partition.held).unwrap_or_default();
        let partition = match sent_to {
            UNKNOWN => {
                self.look_at_count(topic);
                partition(self.topics[topic].count, &key)
            }
            known => known,
        };
        self.partitions.entry((topic, partition)).or_default().proven = Some(Instant::now());
        held
    }

    /// Everything that was held, when the producer is given up.
    pub fn into_held(self) -> impl Iterator<Item = OutboxRow> {
        self.partitions.into_values().flat_map(|partition| partition.held)
    }

    fn place(&mut self, row: &OutboxRow) -> Place {
        let topic = match self.by_name.get(&row.topic) {
            Some(known) => *known,
            None => {
                self.by_name.insert(row.topic.clone(), self.topics.len());
                self.topics.push(Topic { name: row.topic.clone(), count: UNKNOWN });
                self.topics.len() - 1
            }
        };
        (topic, partition(self.topics[topic].count, &row.key))
    }

    /// Takes over what the client has learnt of a topic, once it is known where its very first row went.
    fn look_at_count(&mut self, topic: usize) {
        let counts = self.counts.known.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = &mut self.topics[topic];
        topic.count = counts.get(&topic.name).copied().unwrap_or(UNKNOWN);
    }
}

fn partition(count: i32, key: &str) -> i32 {
    if count == UNKNOWN { UNKNOWN } else { partition_of(key, count) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;

    fn row(id: i64, key: &str) -> OutboxRow {
        OutboxRow { id, topic: "t".to_owned(), key: key.to_owned(), headers: Headers::default(), payload: Vec::new() }
    }

    /// Offers a row as the publisher does, to a client that knows of so many partitions.
    fn offer(partitions: &mut Partitions, row: &OutboxRow, count: i32) -> bool {
        let admitted = partitions.admit(row, Instant::now());
        if admitted {
            partitions.counts.partition(&row.topic, Some(row.key.as_bytes()), count, |_| true);
        }
        admitted
    }

    fn ids(rows: impl IntoIterator<Item = OutboxRow>) -> Vec<i64> {
        rows.into_iter().map(|row| row.id).collect()
    }

    /// The n-th key of a partition.
    fn key(partition: i32, partitions: i32, n: usize) -> String {
        let mut keys = (0..).map(|number: u32| number.to_string());
        keys.by_ref().filter(|key| partition_of(key, partitions) == partition).nth(n).unwrap()
    }

    #[test]
    fn the_first_row_of_a_topic_goes_alone_and_then_the_first_row_of_each_partition() {
        let mut partitions = Partitions::default();
        let (one, another, apart) = (key(0, 3, 0), key(0, 3, 1), key(1, 3, 0));
        let rows = [row(1, &one), row(2, &apart), row(3, &another), row(4, &apart)];
        let admitted: Vec<_> = rows.iter().map(|row| offer(&mut partitions, row, 3)).collect();
        assert_eq!(admitted, [true, false, false, false]);
        let held = partitions.acknowledged(1);
        let admitted: Vec<_> = held.iter().map(|row| (row.id, offer(&mut partitions, row, 3))).collect();
        assert_eq!(admitted, [(2, true), (3, true), (4, false)], "1 has proven its partition, 2 goes first in its own");
        assert!(partitions.acknowledged(3).is_empty(), "it did not go first");
        assert_eq!(ids(partitions.acknowledged(2)), [4]);
        assert!(offer(&mut partitions, &rows[3], 3) && offer(&mut partitions, &rows[1], 3));
    }

    #[test]
    fn what_comes_while_the_first_row_of_a_topic_is_under_way_overtakes_nothing_that_is_held() {
        let mut partitions = Partitions::default();
        let apart = key(1, 3, 0);
        assert!(offer(&mut partitions, &row(1, &key(0, 3, 0)), 3));
        assert!(!offer(&mut partitions, &row(2, &apart), 3));
        assert!(!offer(&mut partitions, &row(3, &apart), 3), "though the client knows the partitions by now");
        assert_eq!(ids(partitions.acknowledged(1)), [2, 3]);
    }

    #[test]
    fn a_partition_that_was_sent_nothing_for_long_is_new_again() {
        let mut partitions = Partitions::default();
        offer(&mut partitions, &row(1, "a"), 1);
        partitions.acknowledged(1);
        let later = Instant::now() + PROVEN_FOR;
        assert!(partitions.admit(&row(2, "a"), later));
        assert!(!partitions.admit(&row(3, "a"), later));
        assert_eq!(ids(partitions.acknowledged(2)), [3]);
        assert!(offer(&mut partitions, &row(3, "a"), 1));
    }

    #[test]
    fn a_producer_has_outgrown_what_it_knows_with_the_first_row_after_partitions_were_added_also_while_rows_are_held() {
        let mut partitions = Partitions::default();
        offer(&mut partitions, &row(1, &key(0, 2, 0)), 2);
        partitions.acknowledged(1);
        offer(&mut partitions, &row(2, &key(1, 2, 0)), 2);
        assert!(!offer(&mut partitions, &row(3, &key(1, 2, 1)), 2), "held behind the first of its partition");
        assert!(!partitions.outgrown());
        // to the proven partition as far as was known, and to a new one as the client has learnt
        offer(&mut partitions, &row(4, &key(0, 2, 1)), 4);
        assert!(partitions.outgrown());
    }

    #[test]
    fn what_is_held_is_there_when_the_producer_is_given_up() {
        let mut partitions = Partitions::default();
        for id in 1..=3 {
            offer(&mut partitions, &row(id, "a"), 3);
        }
        assert_eq!(ids(partitions.into_held()), [2, 3]);
    }
}
