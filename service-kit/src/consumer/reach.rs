//! How far an inbox has to reach: as far as an event may still come again, from its topic or from an archive.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::task::spawn_blocking;

use crate::kafka::Brokers;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An event is appended, and judged by its own time, before it is published, from when on its topic keeps it.
const MARGIN: Duration = DAY;
/// For how long events are taken to be kept where the brokers don't tell.
pub const FALLBACK: Duration = Duration::from_secs(29 * DAY.as_secs());
/// Partitions of the inbox are a week each: so that there is an end to them.
const LONGEST: Duration = Duration::from_secs(400 * DAY.as_secs());
/// Kafka's own default of `segment.ms`.
const SEGMENT: Duration = Duration::from_secs(7 * DAY.as_secs());
/// How long the brokers may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

/// For how long consumers made with this kit surely remember an event by when it was published, if topics keep it for `kept`
/// and archives for `archived`.
pub fn sure_reach(kept: Option<Duration>, archived: Option<Duration>) -> Duration {
    kept.unwrap_or(FALLBACK).max(archived.unwrap_or_default()).min(LONGEST - MARGIN)
}

/// How far the inbox reaches then.
pub(crate) fn reach(kept: Option<Duration>, archived: Option<Duration>) -> Duration {
    sure_reach(kept, archived) + MARGIN
}

/// For how long topics keep events, as the brokers tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// For how long one of those that they tell of may still have an event after it was published, at most.
    pub longest: Option<Duration>,
    /// The topics that they don't tell of: not made yet, being made anew, or the right to ask is missing.
    pub untold: Vec<String>,
}

/// For how long these topics keep events.
///
/// # Errors
/// No answer.
pub async fn kept_by_topics(brokers: &Brokers, topics: &[String]) -> anyhow::Result<Kept> {
    let admin: AdminClient<DefaultClientContext> = brokers.client().create().context("Kafka's client")?;
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let told = admin.describe_configs(&asked, &options).await;
    // its end waits for its thread
    spawn_blocking(move || drop(admin)).await?;
    let told = match told {
        // brokers that can't be asked, as the embedded one
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => Vec::new(),
        told => told.context("Kafka does not tell how long topics are kept")?,
    };
    let told: HashMap<_, _> =
        told.iter().flatten().filter_map(|settings| Some((name(settings)?, kept(settings)?))).collect();
    let untold = topics.iter().filter(|topic| !told.contains_key(topic.as_str())).cloned().collect();
    Ok(Kept { longest: told.into_values().max(), untold })
}

fn name(settings: &ConfigResource) -> Option<&str> {
    match &settings.specifier {
        OwnedResourceSpecifier::Topic(name) => Some(name),
        _ => None,
    }
}

/// A segment is deleted when its last event is old enough, and until then has all that came before it.
fn kept(settings: &ConfigResource) -> Option<Duration> {
    let millis = |name: &str| settings.get(name)?.value.as_deref()?.parse::<i64>().ok();
    let retention = match u64::try_from(millis("retention.ms")?) {
        Ok(millis) => Duration::from_millis(millis),
        Err(_) => LONGEST, // -1: for ever
    };
    let segment = millis("segment.ms").and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    Some(retention.saturating_add(segment.unwrap_or(SEGMENT)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn days(count: u64) -> Option<Duration> {
        Some(Duration::from_secs(count * DAY.as_secs()))
    }

    #[test]
    fn an_inbox_reaches_a_day_further_than_anything_is_kept() {
        assert_eq!(Some(reach(days(14), None)), days(15));
        assert_eq!(Some(reach(days(14), days(7))), days(15));
        assert_eq!(Some(reach(days(14), days(60))), days(61));
    }

    #[test]
    fn where_nobody_tells_it_reaches_thirty_days_and_never_further_than_four_hundred() {
        assert_eq!(Some(reach(None, None)), days(30));
        assert_eq!(Some(reach(Some(Duration::MAX), days(3_650))), days(400));
        assert_eq!(Some(sure_reach(Some(Duration::MAX), None)), days(399));
    }
}
