//! A movement of money as orders were told of it, as the ledger has it, and as the gateway has it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::store::events::Event;

/// What tells orders that captured money came or went.
pub const TYPES: [&str; 3] = ["payment.captured.v1", "payment.refunded.v1", "payment.refund_failed.v1"];

/// What has just been entered may not be heard of yet.
const JUST_NOW: TimeDelta = TimeDelta::minutes(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Amount {
    pub amount: i64,
}

/// A movement as payment-svc compares it with the gateway.
#[derive(Clone, Debug, Deserialize)]
pub struct Movement {
    pub order_id: Option<Uuid>,
    pub payment_id: Option<Uuid>,
    pub operation: String,
    pub refund_id: Option<Uuid>,
    pub gateway_id: Option<String>,
    pub currency: String,
    pub ledger: Option<Amount>,
    pub booked_at: Option<DateTime<Utc>>,
    pub given_back: Option<Amount>,
    pub gateway: Option<Amount>,
    pub made_at: Option<DateTime<Utc>>,
    pub state: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Same,
    Different,
    UnderWay,
    Unchecked,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::UnderWay => "under way",
            Self::Unchecked => "not checked",
        }
    }
}

/// A movement with all three sides, in minor units.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub order_id: Option<Uuid>,
    pub payment_id: Option<Uuid>,
    pub operation: String,
    pub refund_id: Option<Uuid>,
    pub gateway_id: Option<String>,
    pub currency: String,
    pub orders: Option<i64>,
    pub ledger: Option<i64>,
    pub gateway: Option<i64>,
    pub booked_at: Option<DateTime<Utc>>,
    pub made_at: Option<DateTime<Utc>>,
    pub state: State,
    pub why: &'static str,
}

/// What an order was told of a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Amount(i64),
    Nothing,
    /// The console does not keep it any more.
    Gone,
}

/// What orders were told of their money.
#[derive(Debug, Default)]
pub struct Announced {
    captured: BTreeMap<Uuid, i64>,
    refunded: BTreeMap<Uuid, i64>,
    failed: BTreeMap<Uuid, BTreeSet<i64>>,
    /// Orders of which something was said that is not known any more.
    gone: BTreeSet<Uuid>,
}

/// What one event says of captured money.
#[derive(Clone, Debug, PartialEq)]
pub struct Saying {
    pub order: Uuid,
    pub operation: &'static str,
    pub refund: Option<Uuid>,
    pub amount: i64,
    pub currency: String,
    pub at: DateTime<Utc>,
}

fn saying(event: &Event) -> Option<Saying> {
    let body = event.money.as_ref()?;
    let operation = match event.event_type.as_str() {
        "payment.captured.v1" => "capture",
        "payment.refunded.v1" => "refund",
        _ => "refund_reversal",
    };
    Some(Saying {
        order: event.order_id?,
        operation,
        refund: body["refund_id"].as_str().and_then(|id| id.parse().ok()),
        amount: body["amount"]["amount"].as_i64()?,
        currency: body["amount"]["currency"].as_str()?.to_owned(),
        at: event.time,
    })
}

impl Announced {
    pub fn of(events: &[Event]) -> Self {
        let mut announced = Self::default();
        for event in events {
            match (saying(event), event.order_id) {
                (Some(saying), _) => announced.hear(&saying),
                (None, Some(order)) => {
                    announced.gone.insert(order);
                }
                (None, None) => {}
            }
        }
        announced
    }

    fn hear(&mut self, saying: &Saying) {
        match (saying.operation, saying.refund) {
            ("capture", _) => *self.captured.entry(saying.order).or_default() += saying.amount,
            ("refund", Some(refund)) => *self.refunded.entry(refund).or_default() += saying.amount,
            (_, Some(refund)) => {
                self.failed.entry(refund).or_default().insert(saying.amount);
            }
            _ => {}
        }
    }

    fn told(&self, movement: &Movement, kept_since: DateTime<Utc>) -> Told {
        let at = movement.made_at.or(movement.booked_at);
        let is_gone = movement.order_id.is_some_and(|order| self.gone.contains(&order));
        if is_gone || at.is_some_and(|at| at < kept_since) {
            return Told::Gone;
        }
        let ledger = movement.ledger.map_or(0, |ledger| ledger.amount);
        let amount = match (movement.operation.as_str(), movement.order_id, movement.refund_id) {
            ("capture", Some(order), _) => self.captured.get(&order).copied(),
            ("refund_reversal", _, Some(refund)) => {
                let said = self.failed.get(&refund);
                said.and_then(|said| said.get(&ledger).or_else(|| said.last()).copied())
            }
            // Of a refund that came back and was made again past the gateway all is told under one name.
            (_, _, Some(refund)) => {
                let given_back = movement.given_back.map_or(ledger, |given_back| given_back.amount);
                self.refunded.get(&refund).map(|said| ledger + said - given_back)
            }
            _ => None,
        };
        amount.filter(|amount| *amount != 0).map_or(Told::Nothing, Told::Amount)
    }

    /// A movement with what its order was told of it.
    pub fn row(&self, movement: Movement, kept_since: DateTime<Utc>, now: DateTime<Utc>) -> Row {
        let told = self.told(&movement, kept_since);
        let (state, why) = compared(&movement, told, now);
        let amount = |side: Option<Amount>| side.map(|side| side.amount);
        Row {
            orders: if let Told::Amount(amount) = told { Some(amount) } else { None },
            ledger: amount(movement.ledger),
            gateway: amount(movement.gateway),
            order_id: movement.order_id,
            payment_id: movement.payment_id,
            operation: movement.operation,
            refund_id: movement.refund_id,
            gateway_id: movement.gateway_id,
            currency: movement.currency,
            booked_at: movement.booked_at,
            made_at: movement.made_at,
            state,
            why,
        }
    }
}

/// The worst of what the two comparisons say, and why.
fn compared(movement: &Movement, told: Told, now: DateTime<Utc>) -> (State, &'static str) {
    let ledger = movement.ledger.map(|ledger| ledger.amount);
    let just_now = movement.booked_at.is_some_and(|at| now - at < JUST_NOW);
    match (movement.state.as_str(), movement.ledger, movement.gateway) {
        ("under_way", ..) => return (State::UnderWay, "The gateway's answer is awaited."),
        ("different", None, _) if movement.order_id.is_none() => {
            return (State::Different, "No payment here has it: it is at the gateway alone.");
        }
        ("different", None, _) => return (State::Different, "The gateway has it, and the ledger has not."),
        ("different", _, None) => return (State::Different, "The ledger has it, and the gateway has not."),
        ("different", ..) => return (State::Different, "The ledger and the gateway have different amounts."),
        _ => {}
    }
    match told {
        Told::Nothing if just_now => (State::UnderWay, "Its order is about to be told."),
        Told::Nothing => (State::Different, "Its order was not told of it."),
        Told::Amount(told) if Some(told) != ledger => (State::Different, "Its order was told another amount."),
        _ if movement.state == "unchecked" => (State::Unchecked, "The gateway could not be asked for it."),
        _ => (State::Same, ""),
    }
}

/// What these events say of which there is no movement among these. What is said of a refund that failed moved nothing, unless it
/// is a movement of the ledger's.
pub fn alone(events: &[Event], movements: &[Movement], currency: Option<&str>) -> Vec<Saying> {
    let captured: BTreeSet<_> =
        movements.iter().filter(|it| it.operation == "capture").filter_map(|it| it.order_id).collect();
    let refunded: BTreeSet<_> = movements.iter().filter_map(|it| it.refund_id).collect();
    let sayings = events.iter().filter_map(saying);
    let is_alone = |saying: &Saying| match saying.operation {
        "capture" => !captured.contains(&saying.order),
        "refund" => saying.amount > 0 && saying.refund.is_none_or(|refund| !refunded.contains(&refund)),
        _ => false,
    };
    let fits = |saying: &Saying| currency.is_none_or(|currency| saying.currency == currency);
    sayings.filter(|saying| is_alone(saying) && fits(saying)).collect()
}

impl Saying {
    /// Whether the ledger of this payment has it: then it is of another time.
    pub fn is_in(&self, payment: &Value) -> bool {
        let any =
            |list: &str, is: &dyn Fn(&Value) -> bool| payment[list].as_array().is_some_and(|it| it.iter().any(is));
        match self.refund {
            None => any("ledger", &|entry| entry["operation"] == "capture"),
            Some(refund) => any("refunds", &|known| known["id"] == refund.to_string() && known["status"] != "moot"),
        }
    }

    /// As a movement that nobody else has, or of which that is not known.
    pub fn row(self, state: State) -> Row {
        let why = match state {
            State::Different => "Its order was told of it, and the ledger has not got it.",
            _ => "payment-svc could not be asked for it.",
        };
        Row {
            order_id: Some(self.order),
            payment_id: None,
            operation: self.operation.to_owned(),
            refund_id: self.refund,
            gateway_id: None,
            currency: self.currency,
            orders: Some(self.amount),
            ledger: None,
            gateway: None,
            booked_at: Some(self.at),
            made_at: None,
            state,
            why,
        }
    }
}
