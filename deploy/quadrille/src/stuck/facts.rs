//! What is known of the shop at one moment, as far as it may keep orders from going on.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::service::Service;
use crate::topics::overview::Position;

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub now: DateTime<Utc>,
    /// Orders that wait longer than they should, those that are overdue longest first; up to [`super::sql::MOST`].
    pub overdue: Vec<Waiting>,
    pub databases: BTreeMap<Service, InDatabase>,
    /// None if it was not asked.
    pub kafka: Option<Result<InKafka, String>>,
    /// Databases that can't be reached, and why.
    pub unreachable: BTreeMap<Service, String>,
    /// What each service that was asked says of itself.
    pub ready: BTreeMap<Service, Result<Ready, String>>,
    /// What could not be looked at, and why.
    pub away: Vec<Away>,
}

/// A place that doesn't answer, or that nobody has made yet.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, Deserialize)]
pub struct Away {
    pub what: String,
    pub why: String,
}

/// An order, and what it waits for.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Waiting {
    pub id: Uuid,
    #[serde(rename = "waiting_for")]
    pub fact: String,
    #[serde(rename = "waiting_from")]
    pub from: String,
    pub since: DateTime<Utc>,
}

/// What a service's database tells. What its service doesn't have is empty.
#[derive(Debug, Default)]
pub(crate) struct InDatabase {
    pub locks: Vec<Lock>,
    pub transactions: Vec<OpenTransaction>,
    pub outbox: Vec<Pending>,
    /// Whether a relay leads.
    pub is_relayed: bool,
    pub parked: Vec<Parked>,
    pub dead_letters: Vec<DeadLetter>,
    pub progress: Vec<Progress>,
    pub timers: Vec<DueTimers>,
    pub calls: Vec<Call>,
    pub messages: Vec<Messages>,
}

/// A session that waits for a lock, and who holds it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Lock {
    pub since: DateTime<Utc>,
    pub pid: i32,
    pub held_since: Option<DateTime<Utc>>,
    pub why: String,
}

/// A transaction that was left open, or works for long.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct OpenTransaction {
    /// None for a prepared transaction.
    pub pid: Option<i32>,
    pub since: Option<DateTime<Utc>>,
    pub has_locks: bool,
    pub why: String,
}

/// Rows of a key that wait in the outbox.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pending {
    pub key: String,
    pub since: DateTime<Utc>,
}

/// Rows of a key that the broker refused, and those behind them.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Parked {
    pub topic: String,
    pub key: String,
    pub since: DateTime<Utc>,
    pub reason: Option<String>,
}

/// The first dead letter of a key.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DeadLetter {
    pub id: i64,
    pub key: String,
    pub event: Option<String>,
    pub error: Option<String>,
    pub since: DateTime<Utc>,
    /// How many events of the key wait behind it.
    pub behind: i64,
}

/// How far a consumer has come in a partition.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Progress {
    pub topic: String,
    pub partition: i32,
    pub position: i64,
    pub caught_up_to: Option<DateTime<Utc>>,
}

/// Timers of a kind that are due and have not fired.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DueTimers {
    pub kind: String,
    pub count: i64,
    pub since: DateTime<Utc>,
    /// How often the one was tried that was tried most.
    pub attempts: i32,
    pub keys: Vec<String>,
}

/// A call to the gateway that has failed, or is without an answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Call {
    pub order_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
}

/// Messages of a channel that should have left.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Messages {
    pub channel: String,
    pub count: i64,
    pub since: DateTime<Utc>,
    pub next_try: DateTime<Utc>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub orders: Vec<Uuid>,
}

/// What the brokers tell: of each group how many members it has, and where it is.
#[derive(Debug, Default)]
pub(crate) struct InKafka {
    pub groups: BTreeMap<Service, (usize, Vec<Position>)>,
    pub missing: Vec<String>,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Ready {
    #[serde(default)]
    pub checks: BTreeMap<String, String>,
}
