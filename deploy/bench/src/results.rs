//! What was measured: for each name one value a round.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Results {
    pub took_seconds: f64,
    /// By name; the name ends with the unit.
    pub values: BTreeMap<String, Vec<f64>>,
    /// Arms, or parts of them, that did not run, and why.
    pub skipped: Vec<String>,
    /// What must hold and did not: a row lost, doubled or out of order; an arm that failed.
    pub faults: Vec<String>,
}

impl Results {
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        self.values.entry(name.into()).or_default().push(value);
    }

    pub fn median(&self, name: &str) -> Option<f64> {
        self.values.get(name).and_then(|values| median(values))
    }

    pub fn smallest(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.iter().copied().reduce(f64::min)
    }

    pub fn largest(&self, name: &str) -> Option<f64> {
        self.values.get(name)?.iter().copied().reduce(f64::max)
    }

    /// One median divided by another.
    pub fn ratio(&self, of: &str, to: &str) -> Option<f64> {
        Some(self.median(of)? / self.median(to)?)
    }

    /// Notes that something must hold, and does not.
    pub fn must(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            let fault = fault();
            eprintln!("FAULT: {fault}");
            self.faults.push(fault);
        }
    }
}

/// The middle value; of an even number the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The value that this share of all values does not exceed, of all values in ascending order.
pub fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let place = (share * sorted.len() as f64).ceil().max(1.0) as usize - 1;
    sorted.get(place.min(sorted.len().checked_sub(1)?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_a_percentile_is_a_value_that_was_measured() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        let hundred: Vec<_> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 0.5), Some(50.0));
        assert_eq!(percentile(&hundred, 0.99), Some(99.0));
        assert_eq!(percentile(&[7.0], 0.99), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
