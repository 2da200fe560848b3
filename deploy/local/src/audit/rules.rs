//! What must hold after anything, as docs/ARCHITECTURE.md lists it.

use serde::{Deserialize, Serialize};

use super::{
    events,
    evidence::{
        Evidence,
        Part::{self, Gateway, Mails, Orders, Payments, Stock, Topics},
    },
    goods, hearing, mails, money, orders,
};

/// A rule by its number, and who looks whether it holds.
pub(super) struct Rule {
    pub number: u8,
    pub text: &'static str,
    /// Without these nothing can be said.
    pub needs: &'static [Part],
    pub check: fn(&Evidence, &mut Broken),
}

/// Where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's number.
    pub rule: u8,
    /// Of what: `order 0199...`, `SKU TEA...`.
    pub of: String,
    /// What is so, and what was expected.
    pub what: String,
}

impl Finding {
    /// What stays of it while figures move.
    pub fn without_figures(&self) -> Finding {
        Self { what: self.what.chars().filter(|c| !c.is_ascii_digit()).collect(), ..self.clone() }
    }
}

/// What a rule's check has found.
#[derive(Debug, Default)]
pub(super) struct Broken {
    rule: u8,
    pub found: Vec<Finding>,
    pub figures: String,
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

const EVERY_DATABASE: &[Part] = &[Orders, Stock, Payments, Mails];
const EVERYTHING: &[Part] = &[Orders, Stock, Payments, Mails, Topics];

pub(super) const RULES: [Rule; 13] = [
    Rule {
        number: 1,
        text: "captured is 0 or the order's total, refunds never exceed it",
        needs: &[Orders, Payments],
        check: money::amounts,
    },
    Rule {
        number: 2,
        text: "the gateway's journal equals the ledger; one effect a key",
        needs: &[Payments, Gateway],
        check: money::journal,
    },
    Rule {
        number: 3,
        text: "a cancelled order's net money is 0",
        needs: &[Orders, Payments, Gateway],
        check: money::cancelled,
    },
    Rule {
        number: 4,
        text: "movements add up to what is on hand, live holds to what is held",
        needs: &[Orders, Stock],
        check: goods::levels,
    },
    Rule {
        number: 5,
        text: "no hold past its expiry, none of an ended order",
        needs: &[Orders, Stock],
        check: goods::holds,
    },
    Rule {
        number: 6,
        text: "every accepted order is there, and every order ends",
        needs: EVERY_DATABASE,
        check: orders::ends,
    },
    Rule {
        number: 7,
        text: "every committed event is in its topic, and no other",
        needs: EVERYTHING,
        check: events::published,
    },
    Rule { number: 8, text: "sequences of a key are contiguous and rise", needs: &[Topics], check: events::contiguous },
    Rule { number: 9, text: "each event was heard, and had its effect once", needs: EVERYTHING, check: hearing::once },
    Rule { number: 10, text: "only legal transitions", needs: &[Orders, Topics], check: orders::transitions },
    Rule { number: 11, text: "one mail a fact and template, none untrue", needs: EVERYTHING, check: mails::mails },
    Rule { number: 12, text: "no dead letters, no parked keys", needs: EVERY_DATABASE, check: events::nothing_lies },
    Rule {
        number: 13,
        text: "what is shipped is paid, what is back is refunded, no more",
        needs: &[Orders, Stock, Payments],
        check: goods::shipped,
    },
];
