//! What came of a look, summed over all parts of the shop.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::Verdict;
use super::evidence::{Away, Evidence, unread};
use super::findings::{Broken, Figures, Finding};
use super::rules::{Pass, RULES};

/// How many findings of a rule are kept to be told; the rest is counted.
pub(super) const KEPT: usize = 1_000;
/// What is suspected of a part: findings without their figures, as hashes, so that many take little room.
pub(super) type Suspects = HashSet<u64>;

/// Rule by rule what was found so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    figures: BTreeMap<u8, Figures>,
    found: BTreeMap<u8, (Vec<Finding>, usize)>,
    /// The most that was held in memory at once: rows of databases, lines of the journal, events.
    pub most_held: usize,
    pub looks: usize,
}

impl Tally {
    /// Puts evidence to the rules of its pass. Those findings count that were suspected `before`, if anything was looked at
    /// before; they are told if this look `is_last`.
    pub fn check(
        &mut self,
        pass: Pass,
        evidence: &Evidence,
        away: &Away,
        before: Option<&Suspects>,
        is_last: bool,
    ) -> Suspects {
        self.most_held = self.most_held.max(evidence.size());
        let mut suspects = Suspects::new();
        for rule in RULES.iter().filter(|rule| unread(away, rule.needs).is_none()) {
            let mut broken = Broken::of(rule.number);
            for (_, check) in rule.checks.iter().filter(|(of, _)| *of == pass) {
                check(evidence, &mut broken);
            }
            let Broken { figures, found, .. } = broken;
            if before.is_none() {
                self.figures.entry(rule.number).or_default().add(figures);
            }
            for finding in found {
                let suspect = hash(&finding);
                if before.is_none_or(|before| before.contains(&suspect)) {
                    suspects.insert(suspect);
                    if is_last {
                        self.tell(finding);
                    }
                }
            }
        }
        suspects
    }

    fn tell(&mut self, finding: Finding) {
        let (kept, more) = self.found.entry(finding.rule).or_default();
        if kept.len() < KEPT { kept.push(finding) } else { *more += 1 }
    }

    pub fn verdicts(mut self, away: &Away) -> Vec<Verdict> {
        let each = RULES.iter().map(|rule| {
            let (broken, more) = self.found.remove(&rule.number).unwrap_or_default();
            let figures = self.figures.get(&rule.number).map_or_else(String::new, Figures::told);
            let unchecked = unread(away, rule.needs);
            Verdict { number: rule.number, rule: rule.text.to_owned(), figures, broken, more, unchecked }
        });
        each.collect()
    }
}

fn hash(finding: &Finding) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Finding { rule, of, what } = finding.without_figures();
    (rule, of, what).hash(&mut hasher);
    hasher.finish()
}
