//! How far back an inbox has to reach: as far as an event may still be delivered again, from its topic or from an
//! archive.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use tokio::task::spawn_blocking;

use crate::kafka::Brokers;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An event is published some time after its own timestamp, and its topic keeps it from then on. The margin covers
/// the time between.
const MARGIN: Duration = DAY;
/// How long events are assumed to be kept where the brokers don't say.
pub const FALLBACK: Duration = Duration::from_secs(29 * DAY.as_secs());
/// The longest reach. The inbox has a partition a week, so their number needs a limit.
const LONGEST: Duration = Duration::from_secs(400 * DAY.as_secs());
/// Kafka's own default of `segment.ms`.
const SEGMENT: Duration = Duration::from_secs(7 * DAY.as_secs());
const ANSWER: Duration = Duration::from_secs(5);

/// For how long after its publication an event is certain to be recognised as handled, if topics keep events for
/// `kept` and archives for `archived`.
pub fn sure_reach(kept: Option<Duration>, archived: Option<Duration>) -> Duration {
    kept.unwrap_or(FALLBACK).max(archived.unwrap_or_default()).min(LONGEST - MARGIN)
}

/// The inbox's reach for this retention: the same, plus a margin.
pub(crate) fn reach(kept: Option<Duration>, archived: Option<Duration>) -> Duration {
    sure_reach(kept, archived) + MARGIN
}

/// For how long topics keep events, as the brokers report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The longest time that any of the reported topics may still have an event after it was published.
    pub longest: Option<Duration>,
    /// The topics that the brokers report nothing of: they don't exist yet, are being recreated, or this client may
    /// not ask.
    pub untold: Vec<String>,
}

/// For how long these topics keep events.
///
/// # Errors
/// Fails if the brokers don't answer or refuse the request, or if the client can't be created.
pub async fn kept_by_topics(brokers: &Brokers, topics: &[String]) -> anyhow::Result<Kept> {
    let admin: AdminClient<DefaultClientContext> = brokers.client().create().context("Kafka's client")?;
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER));
    let told = admin.describe_configs(&asked, &options).await;
    // Dropping the client waits for its thread, so it is dropped on a thread that may block.
    spawn_blocking(move || drop(admin)).await?;
    let told = match told {
        // Some brokers, such as the embedded one, don't support the request.
        Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnsupportedFeature) => Vec::new(),
        told => told.context("Kafka does not report the retention of topics")?,
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

/// Kafka deletes whole segments, once their last event is old enough. So the first event of a segment is kept for the
/// retention plus the time that the segment spans.
fn kept(settings: &ConfigResource) -> Option<Duration> {
    let millis = |name: &str| settings.get(name)?.value.as_deref()?.parse::<i64>().ok();
    let retention = match u64::try_from(millis("retention.ms")?) {
        Ok(millis) => Duration::from_millis(millis),
        Err(_) => LONGEST, // -1 means for ever
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
