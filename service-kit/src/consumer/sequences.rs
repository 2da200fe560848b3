//! Notices events that are missing from a topic.
//!
//! `ce_sequence` counts a key's events on a topic, and a partition keeps their order. So a jump in a key's numbers
//! means that an event was announced but never reached the topic. Compaction removes older events together with their
//! offsets, so in a compacted topic a jump counts only between offsets without a gap.
//!
//! The lane remembers sequences in memory and spends no statement on them. So it misses a hole in three cases: the
//! lane began in the middle of it (after a restart or a rebalance), the key was silent while thousands of others had
//! events, or the hole is before the first event of the key that the lane reads. `quadrille audit` finds these.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::{Mode, Record};

/// How many keys are remembered at least; at most twice as many are. Most events of a key come within a short time.
const KEYS: usize = 1_000;

/// The sequences that one lane has seen, by key.
#[derive(Default)]
pub(crate) struct Sequences {
    /// The offset that follows if none is left out.
    next: i64,
    /// No offset is missing from this one on.
    since: i64,
    /// The last sequence and its offset, by the hash of the key. A full map becomes `older`.
    recent: HashMap<u64, (i64, i64)>,
    older: HashMap<u64, (i64, i64)>,
    hasher: RandomState,
}

/// A gap in a key's sequences: its events are missing from the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The sequence of the last event before the gap.
    pub after: i64,
    /// The sequence of the first event after the gap.
    pub before: i64,
}

impl Hole {
    pub const fn events(self) -> u64 {
        (self.before - self.after - 1).unsigned_abs()
    }
}

impl Sequences {
    /// Notes the next record of the partition. Returns the hole before it, if there is one.
    pub fn note(&mut self, record: &Record, mode: Mode) -> Option<Hole> {
        let offset = record.place.offset;
        if offset < self.next {
            // The partition is read again, or the topic was created anew.
            *self = Self::default();
        }
        if offset > self.next && mode == Mode::LatestPerKey {
            self.since = offset;
        }
        self.next = offset + 1;
        let sequence: i64 = record.header("ce_sequence")?.parse().ok().filter(|sequence| *sequence > 0)?;
        let key = self.hasher.hash_one(&record.key);
        let known = self.recent.get(&key).or_else(|| self.older.get(&key)).copied();
        let hole = known.filter(|(last, at)| sequence - last > 1 && *at >= self.since);
        // A redelivered event has a lower sequence.
        let last = known.map_or(sequence, |(last, _)| last.max(sequence));
        if self.recent.len() >= KEYS && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, (last, offset));
        hole.map(|(after, _)| Hole { after, before: sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(sequences: &mut Sequences, offset: i64, key: &str, sequence: i64) -> Option<(i64, i64)> {
        hole_in(Mode::Inbox, sequences, offset, key, sequence)
    }

    fn hole_in(mode: Mode, sequences: &mut Sequences, offset: i64, key: &str, sequence: i64) -> Option<(i64, i64)> {
        let mut record = Record::sent("t", key, [("ce_sequence", sequence.to_string())], "");
        record.place.offset = offset;
        sequences.note(&record, mode).map(|hole| (hole.after, hole.before))
    }

    #[test]
    fn numbers_of_a_key_that_jump_are_a_hole() {
        let mut heard = Sequences::default();
        assert_eq!(hole(&mut heard, 7, "a", 4), None, "what was before is not known");
        assert_eq!(hole(&mut heard, 8, "b", 1), None);
        assert_eq!(hole(&mut heard, 9, "a", 5), None);
        assert_eq!(hole(&mut heard, 10, "a", 8), Some((5, 8)));
        assert_eq!(hole(&mut heard, 11, "a", 9), None, "it is told once");
        assert_eq!(Hole { after: 5, before: 8 }.events(), 2);
    }

    #[test]
    fn events_that_come_twice_are_no_hole() {
        let mut heard = Sequences::default();
        for (offset, sequence) in [1, 2, 3, 2, 3, 4].into_iter().enumerate() {
            assert_eq!(hole(&mut heard, i64::try_from(offset).unwrap(), "a", sequence), None);
        }
    }

    #[test]
    fn what_a_compacted_topic_has_let_go_of_is_no_hole_and_what_another_has_is_one() {
        let compacted =
            |heard: &mut Sequences, offset, sequence| hole_in(Mode::LatestPerKey, heard, offset, "a", sequence);
        let mut heard = Sequences::default();
        assert_eq!(compacted(&mut heard, 0, 1), None);
        assert_eq!(compacted(&mut heard, 5, 4), None, "offsets 1 to 4 are not there any more");
        assert_eq!(compacted(&mut heard, 6, 6), Some((4, 6)));
        let mut heard = Sequences::default();
        assert_eq!(hole(&mut heard, 0, "a", 1), None);
        assert_eq!(hole(&mut heard, 5, "a", 4), Some((1, 4)), "it was too late for what the topic no longer keeps");
    }

    #[test]
    fn a_topic_that_is_read_from_its_beginning_again_is_no_hole() {
        let mut heard = Sequences::default();
        hole(&mut heard, 0, "a", 1);
        hole(&mut heard, 1, "b", 1);
        assert_eq!(hole(&mut heard, 0, "a", 3), None);
    }

    #[test]
    fn only_so_many_keys_are_remembered_and_those_heard_last_are_among_them() {
        let mut heard = Sequences::default();
        let many = i64::try_from(5 * KEYS).unwrap();
        for offset in 0..many {
            assert_eq!(hole(&mut heard, offset, &offset.to_string(), 1), None);
        }
        assert!(heard.recent.len() + heard.older.len() <= 2 * KEYS);
        let lately = (many - i64::try_from(KEYS).unwrap()).to_string();
        assert_eq!(hole(&mut heard, many, &lately, 3), Some((1, 3)));
    }
}
