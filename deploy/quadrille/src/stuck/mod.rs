//! `quadrille stuck`: which orders wait longer than they should, what keeps them, and what mends it.
//!
//! order-svc's database says which orders are overdue and what each waits for. What keeps them is looked for where that has to
//! come from (`gather.rs`): in the databases, at the brokers, and at the services themselves. A place that doesn't answer is a
//! finding, and the rest is told all the same. `find.rs` then tells, of facts alone, which cause keeps which order.

mod cause;
mod facts;
mod find;
mod gather;
mod serve;
mod sql;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::SocketAddr;

use anyhow::bail;
use chrono::{DateTime, Utc};
use clap::Args;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::cause::{Cause, Kind};
pub use self::facts::Away;
pub(crate) use self::facts::{Facts, Waiting};
pub(crate) use self::gather::gather;
pub(crate) use self::serve::routes;
use crate::audit::{SourceArgs, Sources};

/// What to look at and how to tell it.
///
/// The exit code is 0 if nothing was found and everything was looked at, and else 1.
#[derive(Debug, Args)]
pub struct StuckArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
    /// Answers the same JSON over HTTP, at /stuck, until it is told to stop. It asks nobody who they are: take an address that only
    /// operators reach.
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "json")]
    listen: Option<SocketAddr>,
}

/// What was found at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stuck {
    pub at: DateTime<Utc>,
    /// How many orders wait longer than they should; ten thousand at most are looked at.
    pub overdue: usize,
    pub causes: Vec<Cause>,
    /// What could not be looked at.
    pub away: Vec<Away>,
}

/// Looks and tells. Fails if something was found, or not everything could be looked at.
pub async fn stuck(arguments: &StuckArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let sources = arguments.sources.sources()?;
    if let Some(address) = arguments.listen {
        return serve::serve(address, sources).await;
    }
    let stuck = look(&sources).await;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&stuck)?)?;
    } else {
        stuck.print(out)?;
    }
    out.flush()?;
    let (causes, away) = (stuck.causes.len(), stuck.away.len());
    match (causes, away) {
        (0, 0) => Ok(()),
        (_, 0) => bail!("{causes} causes were found"),
        _ => bail!("{causes} causes were found, and {away} places could not be looked at"),
    }
}

/// Looks at everything once.
pub async fn look(sources: &Sources) -> Stuck {
    Stuck::of(gather(sources).await)
}

impl Stuck {
    fn of(facts: Facts) -> Self {
        let causes = find::causes(&facts);
        Self { at: facts.now, overdue: facts.overdue.len(), causes, away: facts.away }
    }

    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        match self.overdue {
            0 => writeln!(out, "{}: no order waits longer than it should", moment(self.at))?,
            1 => writeln!(out, "{}: 1 order waits longer than it should", moment(self.at))?,
            overdue => writeln!(out, "{}: {} longer than they should", moment(self.at), wait(overdue, "order"))?,
        }
        for cause in &self.causes {
            writeln!(out, "\n{}", cause.line())?;
            if !cause.first.is_empty() {
                let first: Vec<_> = cause.first.iter().map(ToString::to_string).collect();
                let more = if cause.ids.len() > first.len() { ", ..." } else { "" };
                writeln!(out, "  of: {}{more}", first.join(", "))?;
            }
            writeln!(out, "  mend: {}", cause.mend)?;
        }
        if !self.away.is_empty() {
            writeln!(out, "\nNOT LOOKED AT")?;
        }
        self.away.iter().try_for_each(|away| writeln!(out, "  {}: {}", away.what, away.why))
    }
}

impl Cause {
    /// In one line: what, since when, how many wait, and when it is tried next.
    pub fn line(&self) -> String {
        let since = self.since.map_or_else(String::new, |since| format!(" since {}", moment(since)));
        let waiting = match (self.messages, self.orders) {
            (Some(messages), _) => format!(", {}", wait(usize::try_from(messages).unwrap_or_default(), "message")),
            (None, 0) => String::new(),
            (None, orders) => format!(", {}", wait(orders, "order")),
        };
        let next = self.next_try.map_or_else(String::new, |next| format!("; next try {}", moment(next)));
        format!("{}{since}{waiting}{next}", self.what)
    }
}

/// The lines about one order: each cause that concerns it, with what mends it. An order that waits for nothing may have messages
/// that do.
pub(crate) fn lines_of(facts: &Facts, id: Uuid, order: Option<&Waiting>) -> Vec<String> {
    let causes = match order {
        Some(order) => find::causes_of(facts, order),
        None => find::causes_that_name(facts, id),
    };
    causes.iter().map(|cause| format!("{}. Mend: {}", cause.line(), cause.mend)).collect()
}

fn wait(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what} waits") } else { format!("{count} {what}s wait") }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}
