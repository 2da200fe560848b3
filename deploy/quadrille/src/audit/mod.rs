//! `quadrille audit`: whether everything that must hold does, as far as databases, the gateway's journal and topics show.
//!
//! Orders are looked at range by range (`by_order.rs`), so that no more than one range and what belongs to it is in memory.
//! What is found by no order's id is read once, page by page, and set aside in files by range (`topics.rs`, `journal.rs`,
//! `notes.rs`). What is suspected in a range is looked at again before it counts (`looks.rs`).

mod by_name;
mod by_order;
mod databases;
mod events;
mod evidence;
mod findings;
mod goods;
mod hearing;
mod journal;
mod looks;
mod mails;
mod money;
mod notes;
mod orders;
mod ranges;
mod refunds;
mod rows;
mod rules;
mod sources;
mod spill;
pub mod sql;
mod tally;
#[cfg(test)]
mod tests;
mod topics;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::by_order::Shop;
use self::databases::Databases;
use self::evidence::{Away, Part};
pub use self::findings::Finding;
use self::journal::Journal;
pub use self::sources::{SourceArgs, Sources};
use self::tally::Tally;
use self::topics::{Events, KafkaTopics, Topics};

/// How many findings of a rule are shown; the rest is counted.
const SHOWN: usize = 20;

/// What to look at and how to tell it.
///
/// Reads orders in ranges of 2,000 and holds one range, with all that belongs to it, and a few MB of buffers in memory, however
/// many orders there are: some 100 MB. Events are set aside in temporary files (in TMPDIR), about 200 bytes each. No statement
/// takes longer than a range or a page needs. What is found is told at the end; an audit that is stopped tells what it
/// has found till then, and after which order to go on.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Goes on after that order, as an audit that was stopped has said.
    #[arg(long, value_name = "ORDER")]
    after: Option<Uuid>,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Goes on after that order.
    pub after: Option<Uuid>,
    /// Orders that are looked at at once, at most; products and customers likewise.
    pub orders: usize,
    /// Ranges of them after which a stopped audit can go on.
    pub ranges: usize,
    /// Between two looks at what is suspected.
    pub pause: Duration,
    /// Says on the error stream how far it is.
    pub progress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { after: None, orders: 2_000, ranges: 16, pause: Duration::from_secs(2), progress: false }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Audit {
    /// Whether nothing is broken, and everything was looked at.
    pub holds: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How often what was suspected was looked at.
    pub looks: usize,
    /// The most rows, lines and events that were in memory at once.
    pub most_held: usize,
    pub rules: Vec<Verdict>,
    /// Why it ended before its time, and from where it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Its number in docs/ARCHITECTURE.md.
    pub number: u8,
    /// What must hold.
    pub rule: String,
    /// How much was looked at.
    pub figures: String,
    /// Where it doesn't hold: the first thousand.
    pub broken: Vec<Finding>,
    /// How many more there are.
    #[serde(default)]
    pub more: usize,
    /// Why nobody can say whether it holds: what it needs can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
}

/// Looks and prints. Fails if something is broken or could not be checked, or if it was stopped: then it says where to
/// go on.
pub async fn audit(arguments: &AuditArgs, stop: &CancellationToken, out: &mut impl Write) -> anyhow::Result<()> {
    let options = Options { after: arguments.after, progress: true, ..Options::default() };
    let audit = look(&arguments.sources.sources()?, options, stop).await?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&audit)?)?;
    } else {
        audit.print(out)?;
    }
    let broken: usize = audit.rules.iter().map(|rule| rule.broken.len() + rule.more).sum();
    let unchecked = audit.rules.iter().filter(|rule| rule.unchecked.is_some()).count();
    let found = match broken {
        0 => None,
        _ => Some(format!("{broken} findings: not all that must hold does")),
    };
    let left = (unchecked > 0).then(|| format!("{unchecked} rules could not be checked"));
    let wrong: Vec<_> = found.into_iter().chain(left).chain(audit.stopped).collect();
    if wrong.is_empty() { Ok(()) } else { bail!("{}", wrong.join("; ")) }
}

/// Looks at everything, and again at what seems broken. If something keeps it from going on, that is told with what was
/// found until then. Fails if there is no place for its files.
pub async fn look(sources: &Sources, options: Options, stop: &CancellationToken) -> anyhow::Result<Audit> {
    let cluster = sources.cluster.clone();
    let topics = tokio::task::spawn_blocking(move || KafkaTopics::connect(&cluster)).await?;
    let topics = topics.map(|topics| Box::new(topics) as Box<dyn Topics>);
    look_with(sources, topics, options, stop).await
}

async fn look_with(
    sources: &Sources,
    topics: anyhow::Result<Box<dyn Topics>>,
    options: Options,
    stop: &CancellationToken,
) -> anyhow::Result<Audit> {
    let (began, mut away, mut tally, mut done) = (Instant::now(), Away::new(), Tally::default(), options.after);
    let databases = Databases::connect(sources, &mut away).await;
    if let Err(error) = Journal::answers(sources).await {
        away.insert(Part::Gateway, format!("{error:#}"));
    }
    let mut shop = Shop { sources, databases, events: None, options, stop: stop.clone(), effects: 0 };
    match topics {
        Ok(topics) => shop.events = Some(Events::of(topics, by_name::present_buckets(&mut shop).await?)?),
        Err(error) => drop(away.insert(Part::Topics, format!("{error:#}"))),
    }
    let looked = async {
        by_order::look(&mut shop, &away, &mut done, &mut tally).await?;
        by_name::look(&mut shop, &away, &mut tally).await
    };
    let stopped = looked.await.err().map(|error| stopped(&error, done));
    let (looks, most_held) = (tally.looks, tally.most_held);
    let rules = tally.verdicts(&away);
    let holds = stopped.is_none() && rules.iter().all(|rule| rule.broken.is_empty() && rule.unchecked.is_none());
    Ok(Audit { holds, seconds: began.elapsed().as_secs_f64(), looks, most_held, rules, stopped })
}

fn stopped(error: &anyhow::Error, done: Option<Uuid>) -> String {
    match done {
        Some(last) => format!("stopped: {error:#}; go on with --after {last}"),
        None => format!("stopped before any order was done with: {error:#}"),
    }
}

impl Audit {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        for Verdict { number, rule, figures, broken, more, unchecked } in &self.rules {
            if let Some(why) = unchecked {
                writeln!(out, "?      {number:>2}  {rule}: not checked, since {why}")?;
                continue;
            }
            let verdict = match (broken.is_empty(), &self.stopped) {
                (false, _) => "BROKEN",
                (true, None) => "ok    ",
                (true, Some(_)) => "so far",
            };
            writeln!(out, "{verdict} {number:>2}  {rule}: {figures}")?;
            for finding in broken.iter().take(SHOWN) {
                writeln!(out, "             {}: {}", finding.of, finding.what)?;
            }
            let more = broken.len().saturating_sub(SHOWN) + more;
            if more > 0 {
                writeln!(out, "             and {more} more")?;
            }
        }
        let Self { looks, seconds, most_held, .. } = self;
        writeln!(out, "looked {looks} times at most, {seconds:.1} s, {most_held} rows and events in memory at most")
    }
}
