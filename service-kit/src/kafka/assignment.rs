//! Reads the assignment of a member of a consumer group, as the brokers report it.

use std::collections::BTreeMap;

/// Counts the partitions by topic in a member's assignment, which Kafka's consumers encode as a version and then each
/// topic's name and partitions. Returns nothing if the assignment can't be read.
pub fn partitions(assignment: &[u8]) -> BTreeMap<String, usize> {
    read(&mut { assignment }).unwrap_or_default()
}

fn read(from: &mut &[u8]) -> Option<BTreeMap<String, usize>> {
    take(from, 2)?;
    let mut found = BTreeMap::new();
    for _ in 0..length(from)? {
        let name = i16::from_be_bytes(take(from, 2)?.try_into().ok()?);
        let name = String::from_utf8(take(from, usize::try_from(name).ok()?)?.to_vec()).ok()?;
        let of_topic = usize::try_from(length(from)?).ok()?;
        take(from, of_topic.checked_mul(4)?)?;
        // A topic may occur several times: librdkafka's leader writes one entry for each run of its partitions.
        *found.entry(name).or_default() += of_topic;
    }
    Some(found)
}

fn length(from: &mut &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(take(from, 4)?.try_into().ok()?))
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_an_assignment_are_counted_by_topic_even_if_one_comes_twice() {
        let mut raw = vec![0, 1, 0, 0, 0, 3];
        for (name, partitions) in [("orders.v1", 2_u8), ("stock.v1", 2), ("orders.v1", 1)] {
            raw.extend([0, u8::try_from(name.len()).unwrap()]);
            raw.extend(name.bytes());
            raw.extend([0, 0, 0, partitions]);
            raw.extend((0..partitions).flat_map(|partition| [0, 0, 0, partition]));
        }
        raw.extend([255; 4]); // no user data
        assert_eq!(partitions(&raw), BTreeMap::from([("orders.v1".to_owned(), 3), ("stock.v1".to_owned(), 2)]));
        assert!(partitions(&raw[..10]).is_empty());
        assert!(partitions(&[]).is_empty());
    }
}
