//! The worker's command line: without arguments it runs; `parked` lists, retries and discards parked rows.

use std::io::Write;

use anyhow::{Context, bail};
use diesel_async::AsyncPgConnection;
use secrecy::{ExposeSecret, SecretString};
use service_kit::config::Reader;
use service_kit::pool;

use crate::{parked, republish, worker};

const USAGE: &str = "usage:
  outbox-relay                                 publish the databases of OUTBOX_RELAY_DATABASES, or stand by
  outbox-relay republish --topic TOPIC [...]   send what was published again, from the archive
  outbox-relay parked list                     rows that were refused, and those that wait behind them
  outbox-relay parked retry DATABASE TOPIC KEY publish a key's parked rows, in order
  outbox-relay parked discard DATABASE ID      drop one parked row for good and go on with those behind it

DATABASE is a name as `list` shows it, or its last part. What is asked for is done by the relay that leads.";
/// How many rows are listed at a time.
const PAGE: i64 = 500;

/// Runs the command that the arguments (without the program's name) name, and writes its answer to `out`.
///
/// # Errors
/// There is no such command, a variable is missing or wrong, a database doesn't answer, or the parked row doesn't exist.
pub async fn run(arguments: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => worker::run().await,
        ["republish", rest @ ..] => republish::command::run(rest, out).await,
        ["parked", "list"] => list(out).await,
        ["parked", "retry", database, topic, key] => {
            let rows = parked::retry(&mut connect(database).await?, topic, key).await?;
            writeln!(out, "{rows} rows will be published by the relay that leads")?;
            Ok(())
        }
        ["parked", "discard", database, id] => {
            let id = id.parse().with_context(|| format!("{id} is not the id of a row"))?;
            if !parked::discard(&mut connect(database).await?, id).await? {
                bail!("no parked row has the id {id}");
            }
            writeln!(out, "row {id} will be dropped by the relay that leads")?;
            Ok(())
        }
        ["help" | "--help" | "-h"] => Ok(writeln!(out, "{USAGE}")?),
        other => bail!("there is no command {:?}; `outbox-relay help` lists them", other.join(" ")),
    }
}

async fn list(out: &mut impl Write) -> anyhow::Result<()> {
    let mut found = false;
    for (name, url) in databases()? {
        let mut conn = pool::connect_to_read(url.expose_secret()).await.with_context(|| name.clone())?;
        let mut after = 0;
        loop {
            let rows = parked::list(&mut conn, after, PAGE).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            if !found {
                writeln!(out, "DATABASE\tID\tTOPIC\tKEY\tEVENT\tPARKED AT\tASKED\tREASON")?;
                found = true;
            }
            for row in rows {
                let (at, asked) = (row.parked_at.to_rfc3339(), row.asked.unwrap_or_default());
                let reason = row.reason.unwrap_or_else(|| "waits behind another row of its key".to_owned());
                writeln!(
                    out,
                    "{name}\t{}\t{}\t{}\t{}\t{at}\t{asked}\t{reason}",
                    row.id, row.topic, row.key, row.event_id
                )?;
            }
        }
    }
    if found { Ok(()) } else { Ok(writeln!(out, "no row is parked")?) }
}

fn databases() -> anyhow::Result<Vec<(String, SecretString)>> {
    Ok(Reader::from_env().whole(worker::read_databases)?)
}

async fn connect(wanted: &str) -> anyhow::Result<AsyncPgConnection> {
    let databases = databases()?;
    let matching: Vec<_> =
        databases.iter().filter(|(name, _)| name == wanted || name.rsplit('/').next() == Some(wanted)).collect();
    match matching.as_slice() {
        [(_, url)] => Ok(pool::connect(url.expose_secret()).await?),
        [] => bail!("OUTBOX_RELAY_DATABASES has no database {wanted}"),
        _ => bail!("OUTBOX_RELAY_DATABASES has several databases {wanted}: say it whole, as `parked list` shows it"),
    }
}
