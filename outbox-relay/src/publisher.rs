//! Where rows go: a broker, or nowhere.

use std::future::Future;
use std::time::Duration;

/// A pending row on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the order of append.
    pub id: i64,
    /// Where it goes.
    pub topic: String,
    /// What orders it.
    pub key: String,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// The value.
    pub payload: Vec<u8>,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The row's id.
    pub id: i64,
    /// Whether it is safe with the broker.
    pub outcome: Result<(), Failure>,
}

/// Why a row is not known to be with the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This row will never be taken, for this reason.
    Refused(String),
    /// Nothing is wrong with the row: the broker can't take it now, or a row before it failed.
    Outage(String),
}

/// Takes rows in order and reports on each, once.
///
/// After the first failure it must take no more (report [`Failure::Outage`] for what it is given) until
/// [`withdraw`](Publisher::withdraw) was called: a later row of the same key would overtake the one that failed.
pub trait Publisher: Send + 'static {
    /// Told when this relay begins to lead: whatever takes time before the first row can go out is begun now.
    fn warm_up(&mut self) {}

    /// Takes rows without waiting for the broker; reports come later. The relay bounds what is under way.
    fn publish(&mut self, rows: &[OutboxRow]);

    /// Waits for reports and appends them. Cancelling it loses none.
    fn reports(&mut self, reports: &mut Vec<Report>) -> impl Future<Output = ()> + Send;

    /// Appends the reports that are there, without waiting.
    fn reports_so_far(&mut self, reports: &mut Vec<Report>);

    /// Waits up to `patience` for what is under way, gives up the rest, appends the last reports and is ready for a
    /// fresh start. Rows given up may or may not have reached the broker.
    fn withdraw(&mut self, patience: Duration, reports: &mut Vec<Report>) -> impl Future<Output = ()> + Send;
}

/// Acknowledges everything and publishes nothing: to measure what the database's side costs.
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

    fn reports_so_far(&mut self, reports: &mut Vec<Report>) {
        reports.append(&mut self.taken);
    }

    async fn withdraw(&mut self, _patience: Duration, reports: &mut Vec<Report>) {
        reports.append(&mut self.taken);
    }
}
