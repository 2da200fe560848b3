//! What is looked at every second, for the report's picture, and what services have counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use quadrille::api::Api;
use quadrille::service::Service;
use tokio::time::timeout;

use super::ledger::Ledger;

/// A service that says nothing within this leaves a gap.
const ANSWERS_WITHIN: Duration = Duration::from_millis(700);

/// How things were at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Point {
    pub at: Duration,
    /// Orders that were accepted so far.
    pub accepted: usize,
    /// Orders that have not ended.
    pub open: usize,
    /// Rows that wait in outboxes, and records that wait in topics, of all services that said so.
    pub pending: f64,
    pub lag: f64,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub points: Vec<Point>,
    /// By service, how many records it had seen before, counted over its restarts.
    duplicates: BTreeMap<&'static str, (f64, f64)>,
}

impl Figures {
    /// How many records came again and were passed over.
    pub fn duplicates(&self) -> f64 {
        self.duplicates.values().map(|(sum, last)| sum + last).sum()
    }

    pub async fn look(&mut self, api: &Api, ledger: &Ledger, start: Instant) {
        let (accepted, open) = ledger.counts();
        let mut point = Point { at: start.elapsed(), accepted, open, ..Point::default() };
        for service in Service::WITH_OUTBOX {
            let Ok(Ok(told)) = timeout(ANSWERS_WITHIN, api.metrics(service)).await else { continue };
            point.pending += sum(&told, "outbox_relay_pending_estimate", "");
            point.lag += sum(&told, "consumer_lag_records", "");
            let now = sum(&told, "consumer_events_total", "outcome=\"duplicate\"");
            let (before, last) = self.duplicates.entry(service.name()).or_default();
            if now < *last {
                *before += *last; // it has begun anew
            }
            *last = now;
        }
        self.points.push(point);
    }
}

/// The sum of a metric over all its labels that have this in them.
fn sum(told: &str, metric: &str, label: &str) -> f64 {
    let of = told.lines().filter_map(|line| line.strip_prefix(metric)).filter(|rest| rest.starts_with(['{', ' ']));
    of.filter(|rest| rest.contains(label)).filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_the_labels_that_are_meant() {
        let told = "# HELP lag_total x\nlag_total{topic=\"a\",outcome=\"duplicate\"} 2\nlag_total{topic=\"b\",outcome=\"done\"} 3\n\
                    lag_total_more 9\n";
        assert!((sum(told, "lag_total", "") - 5.0).abs() < f64::EPSILON);
        assert!((sum(told, "lag_total", "outcome=\"duplicate\"") - 2.0).abs() < f64::EPSILON);
    }
}
