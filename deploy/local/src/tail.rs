//! `quadrille tail`: events as they come, so that topics can be looked into with nothing else installed.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use chrono::DateTime;
use clap::Args;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, Headers},
};

use crate::addresses::Addresses;

const METADATA_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(200);

/// Which events to show.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// A topic; all topics of the shop and of dead letters when none is given.
    topic: Option<String>,
    /// Only events with this key, an order id or a SKU.
    #[arg(long)]
    key: Option<String>,
    /// Only events whose type is, or begins with, this: `payment`, `order.placed.v1`.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Shows what is kept first.
    #[arg(long)]
    from_beginning: bool,
    /// Kafka's address; that of the local run when it isn't given.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// The data folder of the local run.
    #[arg(long, value_name = "DIR", default_value = ".quadrille")]
    data: PathBuf,
}

/// Shows events until Ctrl-C. Blocks; joins no consumer group and commits nothing.
pub fn tail(arguments: &TailArgs) -> anyhow::Result<()> {
    let bootstrap = match &arguments.bootstrap {
        Some(bootstrap) => bootstrap.clone(),
        None => {
            Addresses::read(&arguments.data)?
                .with_context(|| {
                    format!("no shop runs in {}; start it, or name a Kafka with --bootstrap", arguments.data.display())
                })?
                .kafka
        }
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("group.id", "quadrille-tail")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.assign(&assignment(&consumer, arguments, &bootstrap)?)?;
    let mut out = std::io::stdout().lock();
    loop {
        match consumer.poll(POLL) {
            None => {}
            Some(Err(error)) => writeln!(std::io::stderr(), "kafka: {error}")?,
            Some(Ok(message)) if wanted(arguments, &message) => {
                match show(&mut out, &message).and_then(|()| out.flush()) {
                    // `quadrille tail | head`
                    Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
                    other => other?,
                }
            }
            Some(Ok(_)) => {}
        }
    }
}

fn assignment(consumer: &BaseConsumer, arguments: &TailArgs, bootstrap: &str) -> anyhow::Result<TopicPartitionList> {
    let metadata =
        consumer.fetch_metadata(None, METADATA_WITHIN).with_context(|| format!("no Kafka answers at {bootstrap}"))?;
    let mut names = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
    let from = if arguments.from_beginning { Offset::Beginning } else { Offset::End };
    let mut partitions = TopicPartitionList::new();
    for topic in names.clone().filter(|topic| arguments.topic.as_deref().is_none_or(|name| name == topic.name())) {
        for partition in topic.partitions() {
            partitions.add_partition_offset(topic.name(), partition.id(), from)?;
        }
    }
    if partitions.count() == 0 {
        let there = names.by_ref().map(|topic| topic.name()).collect::<Vec<_>>().join(", ");
        bail!("no such topic; there are: {there}");
    }
    Ok(partitions)
}

fn wanted(arguments: &TailArgs, message: &BorrowedMessage<'_>) -> bool {
    let key_fits = arguments.key.as_ref().is_none_or(|key| message.key() == Some(key.as_bytes()));
    let type_fits = arguments.event_type.as_ref().is_none_or(|wanted| {
        header(message, "ce_type").is_some_and(|found| found == *wanted || found.starts_with(&format!("{wanted}.")))
    });
    key_fits && type_fits
}

fn show(out: &mut impl Write, message: &BorrowedMessage<'_>) -> std::io::Result<()> {
    let time = message.timestamp().to_millis().and_then(DateTime::from_timestamp_millis);
    let time = time.map(|time| time.format("%H:%M:%S%.3f").to_string()).unwrap_or_default();
    let key = String::from_utf8_lossy(message.key().unwrap_or_default());
    let kind = header(message, "ce_type").unwrap_or_else(|| "?".to_owned());
    writeln!(out, "{time} {kind} key={key} {}[{}]@{}", message.topic(), message.partition(), message.offset())?;
    for header in message.headers().into_iter().flat_map(Headers::iter) {
        writeln!(out, "    {}: {}", header.key, String::from_utf8_lossy(header.value.unwrap_or_default()))?;
    }
    match message.payload() {
        Some(payload) => writeln!(out, "    {}", String::from_utf8_lossy(payload)),
        None => writeln!(out, "    (no value: the key is deleted)"),
    }
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let found = message.headers()?.iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(found.value?).into_owned())
}
