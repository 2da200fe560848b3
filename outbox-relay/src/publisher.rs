//! The destination of rows, behind a trait: Kafka, or nothing for measurements.

use std::future::Future;
use std::time::Duration;

use crate::headers::Headers;

/// A pending row on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The row's id in `outbox`. Rows of one topic and key are published in the order of their ids.
    pub id: i64,
    /// The topic that the record goes to.
    pub topic: String,
    /// The record's key.
    pub key: String,
    /// The record's headers, in order.
    pub headers: Headers,
    /// The record's value.
    pub payload: Vec<u8>,
}

/// What the publisher says of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The row's id.
    pub id: i64,
    /// `Ok` when the broker has acknowledged the row.
    pub outcome: Result<(), Failure>,
}

/// Why the broker has not acknowledged a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The broker will never take this row, for this reason.
    Refused(String),
    /// The row is good, but the broker can't take it now, or a row before it failed.
    Outage(String),
}

/// Takes rows in order and reports on each, once.
///
/// After the first failure it must take no more (report [`Failure::Outage`] for what it is given) until
/// [`withdraw`](Publisher::withdraw) was called: a later row of the same key would overtake the one that failed.
pub trait Publisher: Send + 'static {
    /// Starts whatever takes time before a first row can go out. The relay calls it when it begins to lead.
    fn warm_up(&mut self) {}

    /// Takes rows without waiting for the broker; their reports come later. The relay bounds how many are under way.
    fn publish(&mut self, rows: &[OutboxRow]);

    /// Waits until there are reports and appends them. A cancelled call loses none.
    fn reports(&mut self, reports: &mut Vec<Report>) -> impl Future<Output = ()> + Send;

    /// Waits up to `patience` for the rows that are under way, gives up the rest and appends the last reports. Rows may be
    /// published afresh afterwards. The broker may have a row that was given up.
    fn withdraw(&mut self, patience: Duration, reports: &mut Vec<Report>) -> impl Future<Output = ()> + Send;
}

/// Acknowledges every row and publishes none: a relay to it costs what reading and deleting cost.
#[derive(Debug, Default)]
pub struct NullPublisher {
    taken: Vec<Report>,
}

impl Publisher for NullPublisher {
    fn publish(&mut self, rows: &[OutboxRow]) {
        self.taken.extend(rows.iter().map(|row| Report { id: row.id, outcome: Ok(()) }));
    }

    async fn reports(&mut self, reports: &mut Vec<Report>) {
        if self.taken.is_empty() {
            std::future::pending::<()>().await;
        }
        reports.append(&mut self.taken);
    }

    async fn withdraw(&mut self, _patience: Duration, reports: &mut Vec<Report>) {
        reports.append(&mut self.taken);
    }
}
