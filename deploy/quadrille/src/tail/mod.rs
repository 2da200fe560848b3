//! `quadrille tail`: events as they come, so that topics can be looked into with nothing else installed.

mod kept;
mod shown;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use rdkafka::{Message, Offset, message::BorrowedMessage};

use crate::cluster::{ANSWER, ClusterArgs, Connection};
use crate::records;

const POLL: Duration = Duration::from_millis(200);
/// How long brokers that went away are waited for.
const OUTAGE: Duration = Duration::from_secs(60);
/// How often they are asked meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Which events to show.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// A topic; all topics of the shop and of dead letters when none is given.
    topic: Option<String>,
    /// Only events with this key, an order id, a SKU or a customer id.
    #[arg(long)]
    key: Option<String>,
    /// Only events whose type is, or begins with, this: `payment`, `order.placed.v1`.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Shows what is kept first.
    #[arg(long)]
    from_beginning: bool,
    /// Shows what is kept and ends, instead of waiting for more; with a key in the order of time, over all topics.
    #[arg(long)]
    to_end: bool,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Shows events until Ctrl-C, or to the end. Blocks; joins no consumer group and commits nothing. Fails if no Kafka
/// answers, or there is no such topic.
pub fn tail(arguments: &TailArgs) -> anyhow::Result<()> {
    let connection = arguments.cluster.cluster()?.connect("quadrille-tail")?;
    let places = places(&connection, arguments)?;
    let mut out = std::io::stdout().lock();
    let shown = if arguments.to_end {
        kept::show(&connection, arguments, &places, &mut out)
    } else {
        follow(&connection, arguments, &places, &mut out)
    };
    match shown {
        // `quadrille tail | head`
        Err(error)
            if error
                .downcast_ref::<std::io::Error>()
                .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        shown => shown,
    }
}

/// The partitions of the topics that are meant.
fn places(connection: &Connection, arguments: &TailArgs) -> anyhow::Result<Vec<(String, i32)>> {
    let metadata = connection.metadata(ANSWER)?;
    let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    let meant = topics.clone().filter(|topic| arguments.topic.as_deref().is_none_or(|name| name == topic.name()));
    let places: Vec<_> = meant
        .flat_map(|topic| topic.partitions().iter().map(|partition| (topic.name().to_owned(), partition.id())))
        .collect();
    if places.is_empty() {
        let there = topics.map(|topic| topic.name()).collect::<Vec<_>>().join(", ");
        bail!("no such topic; there are: {there}");
    }
    Ok(places)
}

fn follow(
    connection: &Connection,
    arguments: &TailArgs,
    places: &[(String, i32)],
    out: &mut impl Write,
) -> anyhow::Result<()> {
    records::assign(connection, places, if arguments.from_beginning { Offset::Beginning } else { Offset::End })?;
    let mut outage = None;
    loop {
        match connection.read(POLL)? {
            None => {}
            Some(Err(why)) => begin_outage(&mut outage, &why)?,
            Some(Ok(message)) => {
                outage = None;
                if wanted(arguments, &message) {
                    shown::show(out, &message).and_then(|()| out.flush())?;
                }
            }
        }
        wait_out(connection, &mut outage)?;
    }
}

/// Since when nothing answers, and when it was asked last.
struct Outage {
    since: Instant,
    asked: Instant,
    why: String,
}

/// librdkafka says it again with each attempt; once is enough.
fn begin_outage(outage: &mut Option<Outage>, why: &str) -> std::io::Result<()> {
    if outage.is_none() {
        writeln!(std::io::stderr(), "Kafka: {why}")?;
        let now = Instant::now();
        *outage = Some(Outage { since: now, asked: now, why: why.to_owned() });
    }
    Ok(())
}

fn wait_out(connection: &Connection, outage: &mut Option<Outage>) -> anyhow::Result<()> {
    let Some(Outage { since, asked, why }) = outage else { return Ok(()) };
    if asked.elapsed() < ASK_AGAIN {
        return Ok(());
    }
    if connection.answers() {
        writeln!(std::io::stderr(), "Kafka answers again")?;
        *outage = None;
    } else if since.elapsed() > OUTAGE {
        bail!("Kafka has not answered for {} s: {why}", OUTAGE.as_secs());
    } else {
        *asked = Instant::now();
    }
    Ok(())
}

fn wanted(arguments: &TailArgs, message: &BorrowedMessage<'_>) -> bool {
    let key_fits = arguments.key.as_ref().is_none_or(|key| message.key() == Some(key.as_bytes()));
    let type_fits = arguments.event_type.as_ref().is_none_or(|wanted| {
        shown::header(message, "ce_type")
            .is_some_and(|found| found == *wanted || found.starts_with(&format!("{wanted}.")))
    });
    key_fits && type_fits
}
