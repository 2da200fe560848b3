//! `quadrille dead-letters`: looks at the events that a service could not handle, has them tried again or drops them.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use service_kit::{dead_letters, pool};

use crate::addresses::Addresses;
use crate::databases::DatabasesArgs;
use crate::service::Service;
use crate::table::{aligned, line};

/// How many are fetched at a time.
const PAGE: i64 = 500;

/// What to do with dead letters, and whose.
#[derive(Debug, Args)]
pub struct DeadLettersArgs {
    /// What to do.
    #[command(subcommand)]
    action: Action,
    /// The data folder of the local run whose databases are meant.
    #[arg(long, value_name = "DIR", default_value = ".quadrille", global = true)]
    data: PathBuf,
    #[command(flatten)]
    databases: DatabasesArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the dead letters of one service or of all, oldest first.
    List {
        /// Whose; all services' when it isn't given.
        service: Option<Service>,
    },
    /// Shows one with its headers and its value.
    Show {
        /// Whose.
        service: Service,
        /// Its number, as `list` shows it.
        id: i64,
    },
    /// Has the service try it again, with all that wait behind it for the same key, in order.
    Replay {
        /// Whose.
        service: Service,
        /// Its number, as `list` shows it.
        id: i64,
    },
    /// Drops one for good; those behind it stay until they are replayed.
    Discard {
        /// Whose.
        service: Service,
        /// Its number, as `list` shows it.
        id: i64,
    },
}

/// Does what is asked for and writes the answer to `out`. Fails if there is no such dead letter.
pub async fn dead_letters(arguments: &DeadLettersArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match arguments.action {
        Action::List { service: Some(service) } => {
            let found = list(&arguments.url_of(service)?, service, out).await?;
            if found == 0 { Ok(writeln!(out, "{} has no dead letters", service.name())?) } else { Ok(()) }
        }
        Action::List { service: None } => list_all(arguments, out).await,
        Action::Show { service, id } => show(&arguments.url_of(service)?, id, out).await,
        Action::Replay { service, id } => {
            let mut conn = pool::connect(&arguments.url_of(service)?).await?;
            match dead_letters::replay(&mut conn, id).await? {
                0 => bail!("{} has no dead letter {id}", service.name()),
                count => Ok(writeln!(out, "{} will try {count} of this key again, in order", service.name())?),
            }
        }
        Action::Discard { service, id } => {
            let mut conn = pool::connect(&arguments.url_of(service)?).await?;
            if !dead_letters::discard(&mut conn, id).await? {
                bail!("{} has no dead letter {id}", service.name());
            }
            Ok(writeln!(out, "dead letter {id} is gone")?)
        }
    }
}

impl DeadLettersArgs {
    fn url_of(&self, service: Service) -> anyhow::Result<String> {
        self.databases.url_of(service, Addresses::read(&self.data)?.as_ref(), &self.data)
    }
}

/// A service that can't be asked doesn't keep the others from being shown.
async fn list_all(arguments: &DeadLettersArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (mut found, mut away) = (0, Vec::new());
    for service in Service::WITH_OUTBOX {
        let listed = async { list(&arguments.url_of(service)?, service, out).await };
        match listed.await {
            Ok(count) => found += count,
            Err(error) => away.push(format!("{}: {error:#}", service.name())),
        }
    }
    if !away.is_empty() {
        bail!("{found} dead letters were found; these could not be asked: {}", away.join("; "));
    }
    if found == 0 { Ok(writeln!(out, "no service has dead letters")?) } else { Ok(()) }
}

/// Writes a service's dead letters as a table and returns how many there are.
async fn list(url: &str, service: Service, out: &mut impl Write) -> anyhow::Result<usize> {
    let mut conn = pool::connect_to_read(url).await.with_context(|| format!("the database of {}", service.name()))?;
    let (mut after, mut found) = (0, 0);
    loop {
        let letters = dead_letters::list(&mut conn, after, PAGE).await?;
        let Some(last) = letters.last() else { return Ok(found) };
        after = last.id;
        found += letters.len();
        let mut rows = vec![line(["SERVICE", "ID", "EVENT", "KEY", "PLACE", "BURIED AT", "WHY"])];
        for letter in letters {
            let why = letter.error.as_deref().unwrap_or("waits behind another of its key");
            let asked = if letter.replay_requested_at.is_some() { " (replay asked for)" } else { "" };
            rows.push(line([
                service.name(),
                &letter.id.to_string(),
                letter.event_type.as_deref().unwrap_or("?"),
                &letter.key,
                &format!("{}[{}]@{}", letter.topic, letter.partition, letter.record_offset),
                &letter.buried_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
                &format!("{why}{asked}"),
            ]));
        }
        aligned(&rows, out)?;
    }
}

async fn show(url: &str, id: i64, out: &mut impl Write) -> anyhow::Result<()> {
    let mut conn = pool::connect_to_read(url).await?;
    let whole = dead_letters::get(&mut conn, id).await?.with_context(|| format!("there is no dead letter {id}"))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&whole.letter)?)?;
    for (name, value) in &whole.headers {
        writeln!(out, "{name}: {value}")?;
    }
    match &whole.value {
        Some(value) => Ok(writeln!(out, "\n{}", String::from_utf8_lossy(value))?),
        None => Ok(writeln!(out, "\n(no value)")?),
    }
}
