//! Rows of the databases, as far as they are looked at.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Deserialize)]
pub(super) struct Order {
    pub id: String,
    pub status: String,
    pub total: i64,
    pub lines: Vec<Line>,
    /// The price of one piece, by SKU.
    pub prices: BTreeMap<String, i64>,
    pub stock: Option<String>,
    pub captured: bool,
    pub deadline: DateTime<Utc>,
    pub waiting_since: DateTime<Utc>,
    pub said: u64,
    pub recorded: i64,
    /// Its history was let go of.
    pub history_pruned: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Line {
    pub sku: String,
    pub quantity: i64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Announced {
    pub topic: String,
    pub key: String,
    pub said: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub order_id: String,
    pub position: i64,
    pub event_id: Uuid,
    pub status_before: Option<String>,
    pub status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Movement {
    pub id: i64,
    pub sku: String,
    pub kind: String,
    pub quantity: i64,
    pub order_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reservation {
    pub order_id: String,
    pub reservation: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    pub lines: Vec<Line>,
    pub updated_at: DateTime<Utc>,
    pub stock_said: u64,
    pub shipments_said: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Shipment {
    pub id: String,
    pub order_id: String,
    pub status: String,
    pub lines: Vec<Line>,
    pub returned: Vec<Line>,
    /// Whether others took its place.
    pub split: bool,
    /// When it arrived, or was last taken back.
    pub arrived_at: Option<DateTime<Utc>>,
}

impl Shipment {
    /// Whether its goods went back to the shelf before it left.
    pub fn was_called_off(&self) -> bool {
        self.status == "cancelled" && !self.split
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Payment {
    pub order_id: String,
    pub payment_id: String,
    pub amount: Option<i64>,
    pub captured: i64,
    pub refunded: i64,
    pub updated_at: DateTime<Utc>,
    pub said: u64,
    /// A call to the gateway whose answer isn't known yet.
    pub in_flight_since: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refund {
    pub refund_id: Uuid,
    pub payment_id: String,
    pub amount: i64,
    pub state: String,
}

impl Refund {
    /// Whether an event was the cause, from whose id its own is made; staff's are v7.
    pub fn is_of_an_event(&self) -> bool {
        self.refund_id.get_version_num() == 5
    }
}

/// One effect on money.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Effect {
    pub order_id: Option<String>,
    pub operation: String,
    pub amount: i64,
    #[serde(alias = "idempotency_key")]
    pub key: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Mail {
    pub id: String,
    pub order_id: String,
    pub template: String,
    pub channel: String,
    pub event_id: String,
    pub status: String,
    pub created_at: DateTime<Utc>,
    /// When the lease ends under which it was last taken for sending, or would have ended, if it was sent.
    pub due_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Told {
    pub order_id: String,
    pub notifications_said: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Unpublished {
    pub topic: String,
    pub key: String,
    pub sequence: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Overdue {
    pub service: String,
    pub kind: String,
    pub key: String,
    pub due_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Lying {
    pub service: String,
    pub table: String,
    pub key: String,
    pub topic: String,
    pub why: Option<String>,
}

/// How far a consumer has come in a partition: the next offset that it is to handle.
#[derive(Debug, Deserialize)]
pub(super) struct Position {
    pub topic: String,
    pub partition: i32,
    pub position: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Noted {
    pub event_id: Uuid,
}

/// What a service has heard.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Of the events that it was to hear, those in its inbox; for order-svc also those in its orders' histories, which
    /// are never forgotten.
    pub events: HashSet<Uuid>,
    /// The inbox surely has what was handled of the events that were made since then.
    pub since: Option<DateTime<Utc>>,
    /// By topic and partition.
    pub positions: BTreeMap<(String, i32), i64>,
}
