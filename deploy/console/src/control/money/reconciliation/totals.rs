//! What all movements come to, side by side.

use serde::Serialize;

use super::compared::{Row, State};

/// The sums of one kind of movement, in minor units.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Total {
    pub name: &'static str,
    pub currency: String,
    pub movements: usize,
    pub orders: i64,
    pub ledger: i64,
    /// None of what the gateway knows nothing of.
    pub gateway: Option<i64>,
}

impl Total {
    pub fn is_same(&self) -> bool {
        self.orders == self.ledger && self.gateway.is_none_or(|gateway| gateway == self.ledger)
    }
}

/// How many movements are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub same: usize,
    pub different: usize,
    pub under_way: usize,
    pub unchecked: usize,
}

impl Counts {
    pub fn of(rows: &[Row]) -> Self {
        let of = |state| rows.iter().filter(|row| row.state == state).count();
        Self {
            same: of(State::Same),
            different: of(State::Different),
            under_way: of(State::UnderWay),
            unchecked: of(State::Unchecked),
        }
    }
}

const KINDS: [(&str, &str); 4] = [
    ("capture", "Captured"),
    ("refund", "Given back"),
    ("refund_outside", "Given back past the gateway"),
    ("refund_reversal", "Came back"),
];

/// What an operation is called for people.
pub fn name_of(operation: &str) -> &str {
    KINDS.iter().find(|(known, _)| *known == operation).map_or(operation, |(_, name)| name)
}

/// The sums by currency and kind.
pub fn totals(rows: &[Row]) -> Vec<Total> {
    let mut currencies: Vec<&str> = rows.iter().map(|row| row.currency.as_str()).collect();
    currencies.sort_unstable();
    currencies.dedup();
    let mut totals = Vec::new();
    for currency in currencies {
        for (operation, name) in KINDS {
            let of_kind = |row: &&Row| row.currency == currency && row.operation == operation;
            let rows: Vec<_> = rows.iter().filter(of_kind).collect();
            if rows.is_empty() {
                continue;
            }
            let sum = |side: fn(&Row) -> Option<i64>| rows.iter().filter_map(|row| side(row)).sum();
            totals.push(Total {
                name,
                currency: currency.to_owned(),
                movements: rows.len(),
                orders: sum(|row| row.orders),
                ledger: sum(|row| row.ledger),
                gateway: (operation != "refund_outside").then(|| sum(|row| row.gateway)),
            });
        }
    }
    totals
}
