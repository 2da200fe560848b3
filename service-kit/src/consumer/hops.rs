//! How long an event takes at each hop from the transaction that announced it to the one that handled it.

use chrono::{DateTime, TimeDelta, Utc};
use metrics::Histogram;

use super::Record;

/// When a record reached this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When the relay handed it to its Kafka client, by the relay's clock. None if the broker doesn't say.
    pub sent: Option<DateTime<Utc>>,
    /// When the poll thread read it.
    pub fetched: DateTime<Utc>,
    /// When its lane took it.
    pub taken: DateTime<Utc>,
}

/// The histograms `event_hop_seconds` of one topic. Between two hosts they are as good as their clocks.
pub(crate) struct Hops {
    announced: Histogram,
    published: Histogram,
    waited: Histogram,
    handled: Histogram,
}

impl Hops {
    pub fn of(topic: &str) -> Self {
        let hop =
            |hop: &'static str| metrics::histogram!("event_hop_seconds", "topic" => topic.to_owned(), "hop" => hop);
        Self {
            announced: hop("announced"),
            published: hop("published"),
            waited: hop("waited"),
            handled: hop("handled"),
        }
    }

    /// Notes a batch whose transaction is committed now.
    pub fn note(&self, batch: &[Record]) {
        let now = Utc::now();
        for (record, Arrival { sent, fetched, taken }) in
            batch.iter().filter_map(|record| Some((record, record.arrival?)))
        {
            let made = record.header("ce_time").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
            if let Some(sent) = sent {
                // the transaction, its commit, and the relay's look at the outbox
                made.inspect(|made| self.announced.record(seconds(sent - made.to_utc())));
                // the broker's acknowledgement and the fetch
                self.published.record(seconds(fetched - sent));
            }
            self.waited.record(seconds(taken - fetched));
            self.handled.record(seconds(now - taken));
        }
    }
}

/// Never negative: clocks of two hosts, and the milliseconds in which Kafka counts, may say otherwise.
fn seconds(hop: TimeDelta) -> f64 {
    hop.to_std().unwrap_or_default().as_secs_f64()
}
