//! Shows what is kept now, and ends.

use std::io::Write;

use rdkafka::Message;

use super::{TailArgs, shown, wanted};
use crate::{cluster::Connection, records};

/// Shows every record that was there when it began, and ends.
pub(super) fn show(
    connection: &Connection,
    arguments: &TailArgs,
    places: &[(String, i32)],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    // A key's records are few, and its story is told over several topics.
    let mut story = Vec::new();
    records::each_kept(connection, places, |message| {
        if !wanted(arguments, message) {
            return Ok(());
        }
        if arguments.key.is_none() {
            return Ok(shown::show(out, message)?);
        }
        let mut told = Vec::new();
        shown::show(&mut told, message)?;
        story.push((message.timestamp().to_millis(), told));
        Ok(())
    })?;
    story.sort_by_key(|(time, _)| *time);
    for (_, told) in story {
        out.write_all(&told)?;
    }
    Ok(out.flush()?)
}
