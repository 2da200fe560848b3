//! What the relay knows of the ids that it has not seen.

use std::collections::{BTreeMap, HashSet};

/// With more gaps than this, neighbours are drawn together: a transaction that stays open for long, while others roll
/// back, must cost neither memory nor ever longer statements.
const MOST_GAPS: usize = 1_000;

/// The read position and the gaps below it.
///
/// Ids are drawn in order but committed in any: below the highest id seen lie ids that were not seen, and each may
/// still appear, or belong to a transaction that was rolled back. The relay reads the gaps with every look at the table
/// until nothing can appear in them any more:
///
/// 1. A read set the position to M, so every id up to M was drawn before it.
/// 2. Later, the transactions are noted that hold the lock which an insert takes before it draws an id. Whoever drew
///    an id up to M and has not ended is among them.
/// 3. Once all of those are gone (a transaction becomes visible before its locks are released), a still later read
///    that covers the gaps has seen whatever was to come: the gaps up to M are closed.
///
/// A snapshot's xmin would not do: an id can be drawn before its transaction has an xid.
#[derive(Debug, Default)]
pub(crate) struct Head {
    position: i64,
    /// low -> high, both within the gap; they neither touch nor overlap.
    gaps: BTreeMap<i64, i64>,
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    below: i64,
    holders: HashSet<String>,
}

impl Head {
    /// The highest id seen.
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// The gaps below it, as lows and highs.
    pub fn gaps(&self) -> (Vec<i64>, Vec<i64>) {
        self.gaps.iter().map(|(low, high)| (*low, *high)).unzip()
    }

    /// Whether there is no gap.
    pub fn closed(&self) -> bool {
        self.gaps.is_empty()
    }

    /// The highest id below which, and at which, no unseen row can be.
    pub fn floor(&self) -> i64 {
        self.gaps.first_key_value().map_or(self.position, |(low, _)| low - 1)
    }

    /// Notes what a read returned, in id order. `whole` says that no limit kept rows of the gaps out of it.
    pub fn read(&mut self, ids: &[i64], whole: bool) {
        let covers_gaps = whole || ids.last().is_some_and(|last| *last > self.position);
        for id in ids {
            self.see(*id);
        }
        if self.gaps.len() > MOST_GAPS {
            self.draw_together();
        }
        if covers_gaps && self.watch.as_ref().is_some_and(|watch| watch.holders.is_empty()) {
            self.close();
        }
    }

    /// Treats a row that was seen as unseen, so that the next look finds it again.
    pub fn put_back(&mut self, id: i64) {
        // Gaps that were drawn together cover rows that were seen: a gap within a gap would make both be misread.
        if self.gaps.range(..=id).next_back().is_some_and(|(_, high)| id <= *high) {
            return;
        }
        let mut range = (id, id);
        if let Some((low, high)) = self.gaps.range(..id).next_back()
            && high + 1 == id
        {
            range.0 = *low;
        }
        if let Some(high) = self.gaps.remove(&(id + 1)) {
            range.1 = high;
        }
        self.gaps.insert(range.0, range.1);
    }

    /// Tells who holds the lock now, by a statement later than the last read.
    pub fn holders(&mut self, now: &[String]) {
        match &mut self.watch {
            None => {
                self.watch = Some(Watch { below: self.position, holders: now.iter().cloned().collect() });
            }
            Some(watch) => watch.holders.retain(|holder| now.contains(holder)),
        }
    }

    /// Whether nothing would be learnt by asking who holds the lock: no gap, or a read is due first.
    pub fn needs_no_holders(&self) -> bool {
        self.closed() || self.watch.as_ref().is_some_and(|watch| watch.holders.is_empty())
    }

    fn see(&mut self, id: i64) {
        if id > self.position {
            if id > self.position + 1 {
                self.gaps.insert(self.position + 1, id - 1);
            }
            self.position = id;
        } else if let Some((&low, &high)) = self.gaps.range(..=id).next_back()
            && id <= high
        {
            self.gaps.remove(&low);
            if low < id {
                self.gaps.insert(low, id - 1);
            }
            if id < high {
                self.gaps.insert(id + 1, high);
            }
        }
    }

    /// Makes one gap of every two. Rows between them that were seen are read again; whoever reads knows those that are
    /// still under way, and the others are gone from the table.
    fn draw_together(&mut self) {
        let ranges: Vec<_> = std::mem::take(&mut self.gaps).into_iter().collect();
        let pairs = ranges.chunks(2).filter_map(|pair| Some((pair.first()?.0, pair.last()?.1)));
        self.gaps = pairs.collect();
    }

    /// Closes the gaps up to what was watched.
    fn close(&mut self) {
        let Some(Watch { below, .. }) = self.watch.take() else { return };
        let above = self.gaps.split_off(&(below + 1));
        let closed = std::mem::replace(&mut self.gaps, above);
        if let Some((_, high)) = closed.last_key_value()
            && *high > below
        {
            self.gaps.insert(below + 1, *high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(head: &Head) -> Vec<(i64, i64)> {
        let (lows, highs) = head.gaps();
        lows.into_iter().zip(highs).collect()
    }

    #[test]
    fn ids_that_were_not_seen_are_gaps_until_they_are() {
        let mut head = Head::default();
        head.read(&[3, 4, 8], true);
        assert_eq!(gaps(&head), [(1, 2), (5, 7)]);
        assert_eq!((head.position(), head.floor()), (8, 0));
        head.read(&[1, 2, 6], true);
        assert_eq!(gaps(&head), [(5, 5), (7, 7)]);
        assert_eq!(head.floor(), 4);
    }

    #[test]
    fn a_gap_closes_once_all_who_may_fill_it_are_gone_and_a_later_read_found_nothing() {
        let mut head = Head::default();
        head.read(&[5], true);
        head.holders(&["a".to_owned(), "b".to_owned()]);
        head.read(&[], true);
        assert!(!head.closed(), "a and b may still fill it");
        head.holders(&["b".to_owned(), "c".to_owned()]);
        head.read(&[], true);
        assert!(!head.closed(), "b may still fill it");
        head.holders(&["c".to_owned()]);
        assert!(!head.closed(), "b may have filled it since the last read");
        head.read(&[], true);
        assert!(head.closed(), "c came later and drew a higher id");
    }

    #[test]
    fn a_gap_that_came_after_the_note_stays_open() {
        let mut head = Head::default();
        head.read(&[3], true);
        head.holders(&[]);
        head.read(&[9], true);
        assert_eq!(gaps(&head), [(4, 8)]);
    }

    #[test]
    fn a_read_cut_short_within_the_gaps_closes_nothing() {
        let mut head = Head::default();
        head.read(&[10], true);
        head.holders(&[]);
        head.read(&[4], false);
        assert_eq!(gaps(&head), [(1, 3), (5, 9)]);
        head.read(&[5, 11], false);
        assert!(head.closed(), "it reached beyond the position, so it had all of the gaps");
    }

    #[test]
    fn gaps_stay_few_however_many_transactions_roll_back_while_one_is_open() {
        let mut head = Head::default();
        for id in 1..=100_000 {
            head.read(&[id * 2], true);
            head.holders(&["open".to_owned()]);
        }
        assert!(head.gaps.len() <= MOST_GAPS);
        assert_eq!((head.floor(), head.position()), (0, 200_000));
        let covers = |id| head.gaps.range(..=id).next_back().is_some_and(|(_, high)| id <= *high);
        assert!((1..=100_000).all(|n| covers(n * 2 - 1)), "no gap is forgotten");
        head.holders(&[]);
        head.read(&[], true);
        assert!(!head.closed() && head.floor() > 0, "up to the position that was noted first");
    }

    #[test]
    fn what_is_put_back_into_a_gap_that_was_drawn_together_leaves_the_gap_whole() {
        let mut head = Head::default();
        head.read(&[3, 6, 9], true);
        head.draw_together();
        assert_eq!(gaps(&head), [(1, 5), (7, 8)], "3 is seen and covered");
        head.put_back(3);
        head.put_back(1);
        head.put_back(5);
        assert_eq!(gaps(&head), [(1, 5), (7, 8)]);
        head.draw_together();
        assert_eq!(gaps(&head), [(1, 8)], "no gap is forgotten");
    }

    #[test]
    fn what_is_put_back_is_looked_for_again_and_neighbours_become_one_gap() {
        let mut head = Head::default();
        head.read(&[1, 2, 3, 4], true);
        head.put_back(1);
        head.put_back(3);
        head.put_back(2);
        assert_eq!(gaps(&head), [(1, 3)]);
        assert_eq!(head.floor(), 0);
    }
}
