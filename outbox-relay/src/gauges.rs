//! The relay's metrics, each with the labels `relay` and `database`.

use std::time::Duration;

use chrono::TimeDelta;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::config::RelayConfig;

/// The metrics of a leading relay, and the rows that left the outbox in this term.
pub(crate) struct Meters {
    published: Counter,
    parked: Counter,
    batch_size: Histogram,
    publish_seconds: Histogram,
    delivery_seconds: Histogram,
    pending: Gauge,
    oldest: Gauge,
    parked_rows: Gauge,
    leading: Gauge,
    outage: Gauge,
    /// Rows that left the outbox since the term began.
    pub count: Count,
}

/// Rows that left the outbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub published: usize,
    pub parked: usize,
}

impl Meters {
    pub fn new(config: &RelayConfig) -> Self {
        describe();
        let labels = &labels(config);
        let meters = Self {
            published: counter!("outbox_relay_published_total", labels),
            parked: counter!("outbox_relay_parked_total", labels),
            batch_size: histogram!("outbox_relay_batch_size", labels),
            publish_seconds: histogram!("outbox_relay_publish_seconds", labels),
            delivery_seconds: histogram!("outbox_relay_delivery_seconds", labels),
            pending: gauge!("outbox_relay_pending_estimate", labels),
            oldest: gauge!("outbox_relay_oldest_pending_seconds", labels),
            parked_rows: gauge!("outbox_relay_parked_rows", labels),
            leading: gauge!("outbox_relay_leading", labels),
            outage: gauge!("outbox_relay_outage", labels),
            count: Count::default(),
        };
        meters.leading.set(1.0);
        meters.outage(false);
        meters
    }

    pub fn published(&mut self, rows: usize) {
        self.count.published += rows;
        self.published.increment(rows as u64);
    }

    pub fn took(&self, time: Duration) {
        self.publish_seconds.record(time.as_secs_f64());
    }

    /// How long a row was on its way, from the beginning of its transaction to the broker's acknowledgement. It is as good as
    /// the clocks of this host and the database's.
    pub fn delivered(&self, took: TimeDelta) {
        self.delivery_seconds.record(took.as_seconds_f64().max(0.0));
    }

    /// Whether the broker takes nothing now.
    pub fn outage(&self, lasts: bool) {
        self.outage.set(flag(lasts));
    }

    pub fn parked(&mut self, rows: usize) {
        self.count.parked += rows;
        self.parked.increment(rows as u64);
    }

    pub fn batch(&self, rows: usize) {
        self.batch_size.record(approximate(rows));
    }

    pub fn gauges(&self, pending: i64, oldest_seconds: f64, parked_rows: i64) {
        self.pending.set(approximate(usize::try_from(pending).unwrap_or_default()));
        self.oldest.set(oldest_seconds);
        self.parked_rows.set(approximate(usize::try_from(parked_rows).unwrap_or_default()));
    }
}

impl Drop for Meters {
    /// Only a leader knows these figures, and this relay no longer leads.
    fn drop(&mut self) {
        self.leading.set(0.0);
        self.outage(false);
        self.gauges(0, 0.0, 0);
    }
}

/// Whether the relay waits for its database.
pub(crate) fn waiting(config: &RelayConfig, waits: bool) {
    describe();
    gauge!("outbox_relay_waiting", &labels(config)).set(flag(waits));
}

/// Says from the start that this relay is there and does not lead: an alarm needs the 0 of one that never did.
pub(crate) fn stands_by(config: &RelayConfig) {
    describe();
    gauge!("outbox_relay_leading", &labels(config)).set(0.0);
}

/// How long the oldest row has waited for a relay, none of which leads; nothing when one does, which tells by itself.
pub(crate) fn nobody_leads(config: &RelayConfig, oldest: Option<Duration>) {
    describe();
    let seconds = oldest.unwrap_or_default().as_secs_f64();
    gauge!("outbox_relay_oldest_pending_seconds", &labels(config)).set(seconds);
}

fn labels(config: &RelayConfig) -> [(&'static str, String); 2] {
    [("relay", config.name.clone()), ("database", config.database())]
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
const fn approximate(rows: usize) -> f64 {
    rows as f64
}

fn describe() {
    describe_counter!("outbox_appended_total", "Rows that were appended to the outbox, by the type of their event.");
    describe_counter!("outbox_relay_published_total", "Rows acknowledged by the broker.");
    describe_counter!("outbox_relay_parked_total", "Rows moved to outbox_parked.");
    describe_histogram!("outbox_relay_batch_size", "Rows handed to the publisher at once.");
    describe_histogram!(
        "outbox_relay_publish_seconds",
        "From handing over to the acknowledgement, the slowest of a lot."
    );
    describe_histogram!(
        "outbox_relay_delivery_seconds",
        "How long a row was on its way, from the beginning of its transaction to the broker's acknowledgement."
    );
    describe_gauge!("outbox_relay_outage", "1 while this relay leads and the broker takes nothing.");
    describe_gauge!("outbox_relay_pending_estimate", "Pending rows, estimated from the range of ids: never too few.");
    describe_gauge!("outbox_relay_oldest_pending_seconds", "Age of the oldest pending row.");
    describe_gauge!("outbox_relay_parked_rows", "Rows in outbox_parked, counted up to ten thousand.");
    describe_gauge!("outbox_relay_leading", "1 while this relay leads, else 0.");
    describe_gauge!(
        "outbox_relay_waiting",
        "1 while the relay can't work in its database: it is away, read-only, or lacks tables or rights."
    );
}
