//! What the checks of rules write: where a rule is broken, and how much was looked at.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How many examples a figure names.
const NAMED: usize = 3;

/// Where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    pub rule: u8,
    /// The subject: `order 0199...`, `SKU TEA...`.
    pub of: String,
    /// What was found, and what was expected.
    pub what: String,
}

impl Finding {
    /// The finding without its figures, which may change from look to look.
    pub fn without_figures(&self) -> Finding {
        Self { what: self.what.chars().filter(|c| !c.is_ascii_digit()).collect(), ..self.clone() }
    }
}

/// What a rule's check has found.
#[derive(Debug, Default)]
pub(super) struct Broken {
    rule: u8,
    pub found: Vec<Finding>,
    pub figures: Figures,
}

impl Broken {
    pub fn of(rule: u8) -> Self {
        Self { rule, ..Self::default() }
    }

    pub fn order(&mut self, id: &str, what: impl Into<String>) {
        self.add(format!("order {id}"), what);
    }

    pub fn add(&mut self, of: impl Into<String>, what: impl Into<String>) {
        self.found.push(Finding { rule: self.rule, of: of.into(), what: what.into() });
    }
}

/// How much was looked at.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Figures {
    counts: Vec<(&'static str, usize)>,
    /// Orders that a person must look after, in words for some and for none.
    waiting: Option<Waiting>,
    notes: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Waiting {
    some: &'static str,
    none: &'static str,
    count: usize,
    first: Vec<String>,
}

impl Figures {
    /// Adds to a figure.
    pub fn count(&mut self, what: &'static str, count: usize) {
        match self.counts.iter_mut().find(|(known, _)| *known == what) {
            Some((_, sum)) => *sum += count,
            None => self.counts.push((what, count)),
        }
    }

    pub fn note(&mut self, what: &'static str) {
        self.notes.insert(what);
    }

    /// Names the first of these orders.
    pub fn waiting(&mut self, some: &'static str, none: &'static str, orders: &[&str]) {
        let first = orders.iter().take(NAMED).map(|order| (*order).to_owned()).collect();
        self.add_waiting(Waiting { some, none, count: orders.len(), first });
    }

    fn add_waiting(&mut self, more: Waiting) {
        let waiting = self.waiting.get_or_insert_with(|| Waiting { count: 0, first: vec![], ..more });
        waiting.count += more.count;
        waiting.first.extend(more.first);
        waiting.first.truncate(NAMED);
    }

    pub fn add(&mut self, more: Self) {
        more.counts.into_iter().for_each(|(what, count)| self.count(what, count));
        more.waiting.into_iter().for_each(|waiting| self.add_waiting(waiting));
        self.notes.extend(more.notes);
    }

    /// In one line.
    pub fn told(&self) -> String {
        let counts = self.counts.iter().map(|(what, count)| format!("{count} {what}")).collect::<Vec<_>>().join(", ");
        let waiting = self.waiting.as_ref().map(|Waiting { some, none, count, first }| {
            let more = if *count > first.len() { " and more" } else { "" };
            match count {
                0 => (*none).to_owned(),
                _ => format!("{some}: {count} (order {}{more})", first.join(", ")),
            }
        });
        let notes = self.notes.iter().map(|note| (*note).to_owned());
        let all = [counts].into_iter().filter(|counts| !counts.is_empty()).chain(waiting).chain(notes);
        all.collect::<Vec<_>>().join("; ")
    }
}
