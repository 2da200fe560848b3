//! Both sides of each movement. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use shared_events::RefundId;
use uuid::Uuid;

use crate::domain::refund_made_elsewhere;
use crate::gateway::{BalanceMovement, Moved};
use crate::store::booked::{Booked, Whose};
use crate::store::ledger::{Entry, OUTSIDE, REVERSAL};

/// What has just happened at the gateway may not be heard of yet.
const JUST_NOW: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    Capture,
    Refund,
    RefundReversal,
    /// Past the gateway, which knows nothing of it.
    RefundOutside,
}

impl Operation {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::RefundReversal => REVERSAL,
            Self::RefundOutside => OUTSIDE,
        }
    }

    fn of(entry: &Entry) -> Option<Self> {
        let all = [Self::Capture, Self::Refund, Self::RefundReversal, Self::RefundOutside];
        all.into_iter().find(|operation| operation.name() == entry.operation)
    }
}

impl From<Moved> for Operation {
    fn from(moved: Moved) -> Self {
        match moved {
            Moved::Captured => Self::Capture,
            Moved::GivenBack => Self::Refund,
            Moved::CameBack => Self::RefundReversal,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Same,
    Different,
    /// They differ, but an answer of the gateway is awaited.
    UnderWay,
    /// The gateway could not be asked.
    Unchecked,
    /// The gateway knows nothing of it, and need not.
    Outside,
}

/// How much, in minor units, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    pub amount: i64,
    pub at: DateTime<Utc>,
}

/// Captured money that came or went, as both sides have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Movement {
    /// None of money that no payment has.
    pub whose: Option<Whose>,
    pub intent: Option<String>,
    pub operation: Operation,
    /// What payment-svc calls the refund.
    pub refund: Option<RefundId>,
    /// What the gateway calls the charge, the refund or the dispute.
    pub gateway_id: Option<String>,
    pub currency: String,
    pub ledger: Option<Side>,
    /// All that the ledger has ever given back by this refund, past the gateway too.
    pub given_back: i64,
    pub gateway: Option<Side>,
    pub state: State,
}

/// A movement of one payment: what it is, and under which name a refund stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    payment: Uuid,
    operation: Operation,
    name: Option<String>,
}

impl Key {
    fn of_line(payment: Uuid, entry: &Entry) -> Option<Self> {
        let operation = Operation::of(entry)?;
        let name = match operation {
            Operation::Capture => None,
            Operation::RefundOutside => entry.key.split(':').next(),
            Operation::Refund | Operation::RefundReversal => entry.refund(),
        };
        Some(Self { payment, operation, name: name.map(str::to_owned) })
    }

    fn of_movement(payment: Uuid, movement: &BalanceMovement) -> Self {
        let operation = Operation::from(movement.moved);
        let name = || movement.ours.map_or_else(|| movement.id.clone(), |ours| ours.to_string());
        Self { payment, operation, name: (operation != Operation::Capture).then(name) }
    }
}

/// The name of a refund in the ledger is our id for it, or the gateway's name for one that was made there.
fn refund_of(name: Option<&str>) -> Option<RefundId> {
    let name = name?;
    Some(name.parse().unwrap_or_else(|_| refund_made_elsewhere(name)))
}

/// Everything that the ledger has of some payments.
pub struct Books {
    by_intent: BTreeMap<String, Whose>,
    sums: BTreeMap<Key, (Side, String)>,
}

impl Books {
    pub fn new(lines: &[Booked]) -> Self {
        let (mut by_intent, mut sums) = (BTreeMap::new(), BTreeMap::<Key, (Side, String)>::new());
        for Booked { whose, entry } in lines {
            by_intent.extend(whose.intent.clone().map(|intent| (intent, whose.clone())));
            let Some((entry, key)) = entry.as_ref().and_then(|it| Some((it, Key::of_line(whose.payment, it)?))) else {
                continue;
            };
            let first = Side { amount: 0, at: entry.at };
            let (sum, _) = sums.entry(key).or_insert_with(|| (first, entry.currency.clone()));
            sum.amount += entry.amount;
            sum.at = sum.at.min(entry.at);
        }
        Self { by_intent, sums }
    }

    fn given_back(&self, key: &Key) -> i64 {
        let sum = |operation| self.sums.get(&Key { operation, ..key.clone() }).map_or(0, |(sum, _)| sum.amount);
        if key.operation == Operation::Capture { 0 } else { sum(Operation::Refund) + sum(Operation::RefundOutside) }
    }

    /// A movement that the gateway has.
    fn compared(&self, movement: &BalanceMovement, now: DateTime<Utc>) -> Movement {
        let whose = self.by_intent.get(&movement.intent).cloned();
        let key = whose.as_ref().map(|whose| Key::of_movement(whose.payment, movement));
        let ledger = key.as_ref().and_then(|key| self.sums.get(key)).map(|(side, _)| *side);
        let is_same = ledger.is_some_and(|ledger| ledger.amount == movement.amount);
        let awaited = whose.as_ref().is_some_and(|whose| whose.under_way) || now - movement.at < JUST_NOW;
        let name = movement.ours.map_or_else(|| movement.id.clone(), |ours| ours.to_string());
        Movement {
            intent: Some(movement.intent.clone()),
            operation: movement.moved.into(),
            refund: refund_of((movement.moved != Moved::Captured).then_some(name.as_str())),
            gateway_id: Some(movement.id.clone()),
            currency: movement.currency.clone(),
            ledger,
            given_back: key.as_ref().map_or(0, |key| self.given_back(key)),
            gateway: Some(Side { amount: movement.amount, at: movement.at }),
            state: match (is_same, awaited) {
                (true, _) => State::Same,
                (false, true) => State::UnderWay,
                (false, false) => State::Different,
            },
            whose,
        }
    }

    /// A movement that only the ledger has, as far as is known.
    fn unmatched(&self, whose: &Whose, key: &Key) -> Option<Movement> {
        let (side, currency) = self.sums.get(key)?;
        let is_outside = key.operation == Operation::RefundOutside;
        Some(Movement {
            whose: Some(whose.clone()),
            intent: whose.intent.clone(),
            operation: key.operation,
            refund: refund_of(key.name.as_deref()),
            gateway_id: None,
            currency: currency.clone(),
            ledger: Some(*side),
            given_back: self.given_back(key),
            gateway: None,
            state: if is_outside { State::Outside } else { State::Unchecked },
        })
    }
}

/// The movements of a time: those that the gateway has then, and those that the ledger has then and the gateway has neither
/// then nor right before. Newest first.
pub fn merged(
    books: &Books,
    lines: &[Booked],
    (movements, before): (&[BalanceMovement], &[BalanceMovement]),
    now: DateTime<Utc>,
) -> Vec<Movement> {
    let key_of =
        |movement: &BalanceMovement| Some(Key::of_movement(books.by_intent.get(&movement.intent)?.payment, movement));
    let mut known: BTreeSet<Key> = movements.iter().chain(before).filter_map(key_of).collect();
    let mut merged: Vec<_> = movements.iter().map(|movement| books.compared(movement, now)).collect();
    for Booked { whose, entry } in lines {
        let key = entry.as_ref().and_then(|entry| Key::of_line(whose.payment, entry));
        // A refund that was made good has several lines.
        if let Some(key) = key.filter(|key| known.insert(key.clone())) {
            merged.extend(books.unmatched(whose, &key));
        }
    }
    let at = |movement: &Movement| movement.gateway.or(movement.ledger).map(|side| side.at);
    merged.sort_by_key(|movement| std::cmp::Reverse(at(movement)));
    merged
}
