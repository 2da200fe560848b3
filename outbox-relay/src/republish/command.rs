//! `outbox-relay republish`, database by database.

use std::io::Write;

use anyhow::{Context, bail};
use chrono::Utc;
use secrecy::SecretString;
use service_kit::config::Reader;
use service_kit::kafka::Brokers;
use service_kit::shutdown;
use tokio_util::sync::CancellationToken;

use super::args::{self, Args, USAGE, told};
use super::{Span, Stopped, has_rows, look, send_again};
use crate::config::{RelayConfig, vars};
use crate::kafka::KafkaPublisher;
use crate::worker;

/// Does what the arguments after `republish` say.
pub(crate) async fn run(arguments: &[&str], out: &mut impl Write) -> anyhow::Result<()> {
    if matches!(arguments, ["help" | "--help" | "-h"]) {
        return Ok(writeln!(out, "{USAGE}")?);
    }
    let args = args::read(arguments, Utc::now())?;
    let stop = shutdown::signal()?;
    let relays = relays(args.database.as_deref())?;
    if args.window.after > 0 && relays.len() > 1 {
        bail!("--after is an id of one database: say which with --database");
    }
    if args.dry_run { dry_run(&relays, &args, out).await } else { send(&relays, &args, &stop, out).await }
}

/// How the relays of these databases publish.
fn relays(wanted: Option<&str>) -> anyhow::Result<Vec<RelayConfig>> {
    let (databases, kafka, trace_header) = Reader::from_env().whole(|reader| {
        let databases = match wanted {
            Some(url) if url.contains("://") => Some(worker::named(url).into_iter().collect()),
            _ => worker::read_databases(reader),
        };
        let kafka = Brokers::read(reader);
        let trace_header: Option<String> = reader.read(&vars::OUTBOX_RELAY_TRACE_HEADER);
        Some((databases?, kafka?, trace_header?))
    })?;
    let meant = |name: &str| match wanted {
        None => true,
        Some(wanted) => wanted.contains("://") || name == wanted || name.rsplit('/').next() == Some(wanted),
    };
    let relay = |(name, url): (String, SecretString)| RelayConfig::new(name, url, &kafka).trace_header(&trace_header);
    let relays: Vec<_> = databases.into_iter().filter(|(name, _)| meant(name)).map(relay).collect();
    match (wanted, relays.len()) {
        (Some(wanted), 0) if wanted.contains("://") => {
            bail!("--database is refused: {}", service_kit::pool::check(wanted).err().unwrap_or_default())
        }
        (Some(wanted), 0) => bail!("OUTBOX_RELAY_DATABASES has no database {wanted}"),
        (Some(wanted), 2..) => bail!("OUTBOX_RELAY_DATABASES has several databases {wanted}: say HOST:PORT/{wanted}"),
        _ => Ok(relays),
    }
}

async fn dry_run(relays: &[RelayConfig], args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    for relay in relays {
        let (spans, refusal) = look(relay, &args.window).await.with_context(|| relay.name.clone())?;
        if spans.is_empty() {
            writeln!(out, "{}: nothing of {} in this window", relay.name, args.window.topic)?;
        }
        for Span { topic, rows, keys, first_id, last_id, first_at, last_at } in spans {
            let (first_at, last_at) = (told(first_at), told(last_at));
            writeln!(
                out,
                "{}: {topic}: {rows} rows of {keys} keys, ids {first_id} to {last_id}, published from {first_at} to {last_at}",
                relay.name
            )?;
        }
        if let Some(why) = refusal {
            writeln!(out, "{}: it would be refused: {why}", relay.name)?;
        }
    }
    Ok(())
}

async fn send(
    relays: &[RelayConfig],
    args: &Args,
    stop: &CancellationToken,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let topic = &args.window.topic;
    note_what_is_there(relays, topic, out).await?;
    let mut all = 0;
    for relay in relays {
        // A relay whose database has nothing of the topic need not be stopped.
        if !has_rows(relay, &args.window).await.with_context(|| relay.name.clone())? {
            writeln!(out, "{}: nothing of {topic} in this window", relay.name)?;
            continue;
        }
        let sent = send_again(relay, &args.window, stop).await.map_err(|error| match error.downcast::<Stopped>() {
            Ok(stopped) => {
                let more = how_to_continue(relay, args, stopped.after);
                anyhow::Error::new(stopped).context(format!("to continue, and before the relay starts: {more}"))
            }
            Err(error) => error.context(relay.name.clone()),
        })?;
        writeln!(out, "{}: {sent} rows of {topic} are sent again", relay.name)?;
        all += sent;
    }
    if all == 0 && args.window.after == 0 {
        bail!("nothing was sent: the archive has no row of {topic} in this window");
    }
    Ok(())
}

/// Consumers get what is sent now after what the topic holds.
async fn note_what_is_there(relays: &[RelayConfig], topic: &str, out: &mut impl Write) -> anyhow::Result<()> {
    let Some(relay) = relays.first() else { return Ok(()) };
    let publisher = KafkaPublisher::new(&relay.brokers, 1, 1);
    super::refuse_compacted(&publisher, topic).await?;
    let (broker_metadata, name) = (publisher.broker_metadata()?, topic.to_owned());
    let records = tokio::task::spawn_blocking(move || broker_metadata.records(&name)).await??;
    if records > 0 {
        writeln!(out, "{topic} holds {records} records: what is sent now comes after them")?;
    }
    Ok(())
}

fn how_to_continue(relay: &RelayConfig, args: &Args, after: i64) -> String {
    let window = &args.window;
    let mut command = format!("outbox-relay republish --topic {}", window.topic);
    if let Some(from) = window.from {
        command += &format!(" --from {}", told(from));
    }
    if let Some(to) = window.to {
        command += &format!(" --to {}", told(to));
    }
    if window.incomplete {
        command += " --incomplete";
    }
    if window.older {
        command += " --older";
    }
    // A URL holds a password: it is not repeated.
    let database = args.database.as_deref().filter(|database| database.contains("://")).map_or(&*relay.name, |_| "URL");
    command + &format!(" --database {database} --after {after}")
}
