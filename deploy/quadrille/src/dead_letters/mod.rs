//! `quadrille dead-letters`: looks at the events that a service could not handle, has them tried again or drops them.

mod change;
mod job;
mod look;
mod remote;

use std::{io::Write, path::PathBuf};

use anyhow::bail;
use clap::{Args, Subcommand};
use service_kit::dead_letters::{Decision, GroupId, Reason};
use service_kit::{dead_letters, pool};

use crate::addresses::Addresses;
use crate::databases::DatabasesArgs;
use crate::service::Service;
use change::ChangeArgs;
use job::JobAction;
use remote::{Remote, RemoteArgs};

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
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Lists the dead letters of one service or of all, oldest first.
    List {
        /// Whose; all services' when it isn't given.
        service: Option<Service>,
        /// Only those of this cause, as `groups` names it.
        #[arg(long)]
        group: Option<GroupId>,
    },
    /// Counts the dead letters of one service or of all by cause: event type, reaction, and error without its values. What was never
    /// tried, as what it waited behind was discarded, is a cause of its own.
    Groups {
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
    /// Tells what would come of one, as it is or changed: runs the service's reaction and rolls back what it did.
    DryRun(ChangeArgs),
    /// Changes one; what it said before stays on record, and a replay runs the last version.
    Edit {
        #[command(flatten)]
        change: ChangeArgs,
        /// Why; it stays on record.
        #[arg(long)]
        reason: Reason,
    },
    /// Drops one for good; those behind it stay until they are replayed or discarded.
    Discard {
        /// Whose.
        service: Service,
        /// Its number, as `list` shows it.
        id: i64,
        /// Why; it stays on record.
        #[arg(long)]
        reason: Reason,
    },
    /// Has the service replay or discard many by itself.
    #[command(subcommand)]
    Job(JobAction),
}

/// Does what is asked for and writes the answer to `out`. Fails if there is no such dead letter.
pub async fn dead_letters(arguments: &DeadLettersArgs, out: &mut impl Write) -> anyhow::Result<()> {
    match &arguments.action {
        Action::List { service, group } => {
            each(arguments, *service, out, async |url, service, out| look::list(url, service, group.clone(), out).await)
                .await
        }
        Action::Groups { service } => each(arguments, *service, out, look::groups).await,
        &Action::Show { service, id } => look::show(&arguments.url_of(service)?, id, out).await,
        &Action::Replay { service, id } => {
            let mut conn = pool::connect(&arguments.url_of(service)?).await?;
            match dead_letters::replay(&mut conn, id).await? {
                0 => bail!("{} has no dead letter {id}", service.name()),
                count => Ok(writeln!(out, "{} will try {count} of this key again, in order", service.name())?),
            }
        }
        Action::DryRun(change) => change::dry_run(&arguments.remote(change.service).await?, change, out).await,
        Action::Edit { change, reason } => {
            change::edit(&arguments.remote(change.service).await?, change, reason, out).await
        }
        Action::Job(action) => job::job(&arguments.remote(action.service()).await?, action, out).await,
        Action::Discard { service, id, reason } => {
            let mut conn = pool::connect(&arguments.url_of(*service)?).await?;
            let decision = Decision { by: Some(whoever_runs_this()), reason: Some(reason.to_string()) };
            let letter = dead_letters::get(&mut conn, *id).await?;
            let (Some(letter), true) = (letter, dead_letters::discard(&mut conn, *id, &decision).await?) else {
                bail!("{} has no dead letter {id}", service.name());
            };
            writeln!(out, "dead letter {id} is gone")?;
            look::next_of_key(&mut conn, *service, &letter.letter, out).await
        }
    }
}

/// By the name that this machine has for them.
fn whoever_runs_this() -> String {
    let name = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default();
    if name.is_empty() { "quadrille".to_owned() } else { format!("quadrille: {name}") }
}

impl DeadLettersArgs {
    async fn remote(&self, service: Service) -> anyhow::Result<Remote> {
        Remote::of(&self.remote, service, &self.data).await
    }

    fn url_of(&self, service: Service) -> anyhow::Result<String> {
        self.databases.url_of(service, Addresses::read(&self.data)?.as_ref(), &self.data)
    }
}

/// Looks into one service or all. A service that can't be asked doesn't keep the others from being shown.
async fn each<W: Write>(
    arguments: &DeadLettersArgs,
    service: Option<Service>,
    out: &mut W,
    look: impl AsyncFn(&str, Service, &mut W) -> anyhow::Result<i64>,
) -> anyhow::Result<()> {
    if let Some(service) = service {
        let found = look(&arguments.url_of(service)?, service, out).await?;
        return if found == 0 { Ok(writeln!(out, "{} has no dead letters", service.name())?) } else { Ok(()) };
    }
    let (mut found, mut away) = (0, Vec::new());
    for service in Service::WITH_OUTBOX {
        let looked = async { look(&arguments.url_of(service)?, service, out).await };
        match looked.await {
            Ok(count) => found += count,
            Err(error) => away.push(format!("{}: {error:#}", service.name())),
        }
    }
    if !away.is_empty() {
        bail!("{found} dead letters were found; these could not be asked: {}", away.join("; "));
    }
    if found == 0 { Ok(writeln!(out, "no service has dead letters")?) } else { Ok(()) }
}
