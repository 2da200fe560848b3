//! The relay's metrics, each with the label `relay`.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

/// The metrics of a leading relay, and the rows that left the outbox in this term.
pub(crate) struct Meters {
    published: Counter,
    parked: Counter,
    batch_size: Histogram,
    publish_seconds: Histogram,
    pending: Gauge,
    oldest: Gauge,
    parked_rows: Gauge,
    leading: Gauge,
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
    pub fn new(relay: &str) -> Self {
        describe();
        let relay = relay.to_owned();
        let meters = Self {
            published: counter!("outbox_relay_published_total", "relay" => relay.clone()),
            parked: counter!("outbox_relay_parked_total", "relay" => relay.clone()),
            batch_size: histogram!("outbox_relay_batch_size", "relay" => relay.clone()),
            publish_seconds: histogram!("outbox_relay_publish_seconds", "relay" => relay.clone()),
            pending: gauge!("outbox_relay_pending_estimate", "relay" => relay.clone()),
            oldest: gauge!("outbox_relay_oldest_pending_seconds", "relay" => relay.clone()),
            parked_rows: gauge!("outbox_relay_parked_rows", "relay" => relay.clone()),
            leading: gauge!("outbox_relay_leading", "relay" => relay),
            count: Count::default(),
        };
        meters.leading.set(1.0);
        meters
    }

    pub fn published(&mut self, rows: usize) {
        self.count.published += rows;
        self.published.increment(rows as u64);
    }

    pub fn took(&self, time: Duration) {
        self.publish_seconds.record(time.as_secs_f64());
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
        self.gauges(0, 0.0, 0);
    }
}

/// Whether the relay waits for its database.
pub(crate) fn waiting(relay: &str, waits: bool) {
    describe();
    gauge!("outbox_relay_waiting", "relay" => relay.to_owned()).set(if waits { 1.0 } else { 0.0 });
}

/// How long the oldest row has waited for a relay, none of which leads; nothing when one does, which tells by itself.
pub(crate) fn nobody_leads(relay: &str, oldest: Option<Duration>) {
    describe();
    let (seconds, relay) = (oldest.unwrap_or_default().as_secs_f64(), relay.to_owned());
    gauge!("outbox_relay_oldest_pending_seconds", "relay" => relay).set(seconds);
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
const fn approximate(rows: usize) -> f64 {
    rows as f64
}

fn describe() {
    describe_counter!("outbox_relay_published_total", "Rows acknowledged by the broker.");
    describe_counter!("outbox_relay_parked_total", "Rows moved to outbox_parked.");
    describe_histogram!("outbox_relay_batch_size", "Rows handed to the publisher at once.");
    describe_histogram!(
        "outbox_relay_publish_seconds",
        "From handing over to the acknowledgement, the slowest of a lot."
    );
    describe_gauge!("outbox_relay_pending_estimate", "Pending rows, estimated from the range of ids: never too few.");
    describe_gauge!("outbox_relay_oldest_pending_seconds", "Age of the oldest pending row.");
    describe_gauge!("outbox_relay_parked_rows", "Rows in outbox_parked, counted up to ten thousand.");
    describe_gauge!("outbox_relay_leading", "1 while this relay leads, else 0.");
    describe_gauge!(
        "outbox_relay_waiting",
        "1 while the relay can't work in its database: it is away, read-only, or lacks tables or rights."
    );
}
