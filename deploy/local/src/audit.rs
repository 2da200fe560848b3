//! `quadrille audit`: whether everything that must hold does, as far as databases, the gateway's journal and topics show.

mod events;
mod evidence;
mod goods;
mod hearing;
mod mails;
mod money;
mod orders;
mod refunds;
mod rows;
mod rules;
mod sources;
pub(crate) mod sql;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    io::Write,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use self::{
    evidence::Evidence,
    rules::{Broken, RULES},
};
pub use self::{
    rules::Finding,
    sources::{SourceArgs, Sources},
};

/// Services go on while they are looked at, and one database is read after the other: what is broken then may only be
/// under way. So it is looked at again, and what is broken in the same way in every look is told, whatever figures move.
const LOOKS: usize = 4;
const PAUSE: Duration = Duration::from_secs(2);
/// So many are told of a rule; the rest is counted.
const SHOWN: usize = 20;

/// What to look at and how to tell it.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    sources: SourceArgs,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Whether all holds.
#[derive(Debug, Serialize, Deserialize)]
pub struct Audit {
    /// Whether nothing is broken.
    pub holds: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How often everything was read.
    pub looks: usize,
    /// Rule by rule.
    pub rules: Vec<Verdict>,
}

/// Of one rule.
#[derive(Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Its number in docs/ARCHITECTURE.md.
    pub number: u8,
    /// What must hold.
    pub rule: String,
    /// How much was looked at.
    pub figures: String,
    /// Where it doesn't hold.
    pub broken: Vec<Finding>,
    /// Why nobody can say whether it holds: what it needs can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchecked: Option<String>,
}

/// Looks and prints; fails where something is broken.
///
/// # Errors
/// Something is broken, or could not be checked.
pub async fn audit(arguments: &AuditArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let audit = look(&arguments.sources.sources()?).await?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&audit)?)?;
    } else {
        audit.print(out)?;
    }
    let broken: usize = audit.rules.iter().map(|rule| rule.broken.len()).sum();
    let unchecked = audit.rules.iter().filter(|rule| rule.unchecked.is_some()).count();
    match (broken, unchecked) {
        (0, 0) => {}
        (0, _) => bail!("{unchecked} rules could not be checked"),
        (_, 0) => bail!("{broken} findings: not all that must hold does"),
        _ => bail!("{broken} findings: not all that must hold does; {unchecked} rules could not be checked"),
    }
    Ok(())
}

/// Looks at everything, and again at what seems broken.
///
/// # Errors
/// The evidence can't be read.
pub async fn look(sources: &Sources) -> anyhow::Result<Audit> {
    let began = Instant::now();
    let (mut suspects, mut looks) = (None::<BTreeSet<Finding>>, 0);
    loop {
        let mut rules = verdicts(&Evidence::collect(sources).await);
        looks += 1;
        for rule in &mut rules {
            rule.broken
                .retain(|finding| suspects.as_ref().is_none_or(|before| before.contains(&finding.without_figures())));
        }
        let found: BTreeSet<_> =
            rules.iter().flat_map(|rule| rule.broken.iter().map(Finding::without_figures)).collect();
        if found.is_empty() || looks == LOOKS {
            let holds = found.is_empty() && rules.iter().all(|rule| rule.unchecked.is_none());
            return Ok(Audit { holds, seconds: began.elapsed().as_secs_f64(), looks, rules });
        }
        suspects = Some(found);
        sleep(PAUSE).await;
    }
}

fn verdicts(evidence: &Evidence) -> Vec<Verdict> {
    let each = RULES.iter().map(|rule| {
        let mut broken = Broken::of(rule.number);
        let unchecked = evidence.unread(rule.needs);
        if unchecked.is_none() {
            (rule.check)(evidence, &mut broken);
        }
        let Broken { figures, found, .. } = broken;
        Verdict { number: rule.number, rule: rule.text.to_owned(), figures, broken: found, unchecked }
    });
    each.collect()
}

impl Audit {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        for Verdict { number, rule, figures, broken, unchecked } in &self.rules {
            if let Some(why) = unchecked {
                writeln!(out, "?      {number:>2}  {rule}: not checked, since {why}")?;
                continue;
            }
            let verdict = if broken.is_empty() { "ok    " } else { "BROKEN" };
            writeln!(out, "{verdict} {number:>2}  {rule}: {figures}")?;
            for finding in broken.iter().take(SHOWN) {
                writeln!(out, "             {}: {}", finding.of, finding.what)?;
            }
            if broken.len() > SHOWN {
                writeln!(out, "             and {} more", broken.len() - SHOWN)?;
            }
        }
        writeln!(out, "read {} times in {:.1} s", self.looks, self.seconds)
    }
}
