//! What is kept now, and then the end.

use std::{
    collections::HashMap,
    io::Write,
    time::{Duration, Instant},
};

use anyhow::bail;
use rdkafka::{Message, Offset};

use super::{POLL, TailArgs, assign, shown, wanted};
use crate::cluster::Connection;

/// An end may be a mark of a transaction, which nobody is given: silence after the brokers said that nothing follows is
/// an end too.
const QUIET: Duration = Duration::from_secs(2);
/// Brokers that say nothing for as long are given up.
const SILENCE: Duration = Duration::from_secs(30);

/// Shows every record that was there when it began, and ends.
pub(super) fn show(
    connection: &Connection,
    arguments: &TailArgs,
    places: &[(String, i32)],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let (first, mut pending) =
        (connection.offsets(places, Offset::Beginning)?, connection.offsets(places, Offset::End)?);
    pending.retain(|place, end| first.get(place).is_some_and(|first| first < end));
    let filled: Vec<_> = pending.keys().cloned().collect();
    assign(connection, &filled, Offset::Beginning)?;
    // A key's records are few, and its story is told over several topics.
    let mut story = Vec::new();
    let (mut ends, mut heard, mut trouble) = (0, Instant::now(), None);
    while !pending.is_empty() {
        match connection.read(POLL)? {
            Some(Ok(message)) => {
                heard = Instant::now();
                if before_end(&mut pending, (message.topic(), message.partition()), message.offset())
                    && wanted(arguments, &message)
                {
                    if arguments.key.is_some() {
                        let mut told = Vec::new();
                        shown::show(&mut told, &message)?;
                        story.push((message.timestamp().to_millis(), told));
                    } else {
                        shown::show(out, &message)?;
                    }
                }
            }
            Some(Err(why)) => trouble = Some(why),
            None => {}
        }
        // those of partitions that are done already, too: so they are counted against all
        ends += connection.ends();
        if ends >= filled.len() && heard.elapsed() > QUIET {
            break;
        }
        if heard.elapsed() > SILENCE {
            bail!("Kafka says nothing any more: {}", trouble.unwrap_or_else(|| "no record, and no end".to_owned()));
        }
    }
    story.sort_by_key(|(time, _)| *time);
    for (_, told) in story {
        out.write_all(&told)?;
    }
    Ok(out.flush()?)
}

/// Whether the record was there at the beginning; strikes its partition off once it was the last.
fn before_end(pending: &mut HashMap<(String, i32), i64>, (topic, partition): (&str, i32), offset: i64) -> bool {
    let place = (topic.to_owned(), partition);
    let Some(end) = pending.get(&place).copied() else { return false };
    if offset + 1 >= end {
        pending.remove(&place);
    }
    offset < end
}
