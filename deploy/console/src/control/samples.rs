//! Looks every half minute at how orders flow and how the services are, and keeps an hour of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use serde::Serialize;
use service_kit::Pool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::flow::Counted;
use super::metrics::{self, Metric};
use super::stuck::found::Found;
use crate::services::{Failure, Service, Services};
use crate::store::figures::{self, Now};

const EVERY: Duration = Duration::from_secs(30);
/// An hour of them, each in its own time.
const KEPT: usize = 120;
/// In milliseconds.
const SLOT: usize = 30_000;
/// What was seen is good enough for so long.
const FRESH: TimeDelta = TimeDelta::seconds(15);
/// How often is asked what keeps orders, and for how long an answer is good: it takes longer when something is wrong.
const STUCK_EVERY: Duration = Duration::from_secs(10);
/// Whoever looked so long ago looks no more, and nobody is asked on their account.
const LOOKS_ON: Duration = Duration::from_secs(120);
/// How long the first who looks waits for what is found.
const STUCK_WAIT: Duration = Duration::from_secs(3);
const STUCK_FRESH: TimeDelta = TimeDelta::seconds(30);
/// The figures that are read, by how their names begin.
const READ: [&str; 10] = [
    "consumer_lag_",
    "consumer_dead_letters",
    "consumer_parked_keys",
    "consumer_broker_away",
    "consumer_stopped",
    "consumer_lane_waits_for_lock",
    "outbox_relay_",
    "outside_server_away",
    "timers_oldest_due_seconds",
    "database_oldest_transaction_seconds",
];
/// More partitions than this are not told one by one.
const PARTITIONS: usize = 500;

/// What was seen within the last hour. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Samples(Arc<Mutex<Seen>>, Arc<Stuck>, Counted);

#[derive(Debug, Default)]
struct Seen {
    hour: VecDeque<Point>,
    now: Option<(DateTime<Utc>, Arc<[Health]>)>,
    found: Option<(DateTime<Utc>, Arc<Found>)>,
    /// When somebody looked last at what keeps orders.
    looked: Option<Instant>,
}

/// Between whoever looks at what keeps orders and whoever asks for it.
#[derive(Debug, Default)]
struct Stuck {
    looked: Notify,
    told: Notify,
}

/// How things were at one moment.
#[derive(Clone, Debug, Default)]
pub struct Point {
    at: DateTime<Utc>,
    pub flow: Option<Now>,
    /// In the order of [`Service::ALL`].
    pub services: Vec<Gauges>,
}

/// How a service is.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub service: &'static str,
    /// ready, degraded, not ready, away, or not told, where it tells operators alone.
    pub state: String,
    pub checks: Vec<(String, String)>,
    pub gauges: Gauges,
    pub partitions: Vec<Lag>,
    /// Servers outside that it can't reach.
    pub away: Vec<String>,
}

/// What a service says of itself in figures. None where it says nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gauges {
    pub lag_records: Option<f64>,
    pub lag_seconds: Option<f64>,
    pub pending_rows: Option<f64>,
    pub oldest_row_seconds: Option<f64>,
    pub parked_rows: Option<f64>,
    /// How many of its relays lead: one does.
    pub leaders: Option<f64>,
    pub outage: Option<f64>,
    pub relay_waits: Option<f64>,
    pub dead_letters: Option<f64>,
    pub parked_keys: Option<f64>,
    pub broker_away: Option<f64>,
    pub stopped: Option<f64>,
    pub waits_for_lock: Option<f64>,
    pub timers_late_seconds: Option<f64>,
    pub oldest_transaction_seconds: Option<f64>,
}

/// How far a service's group is behind in a partition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lag {
    pub topic: String,
    pub partition: String,
    pub records: f64,
    pub seconds: f64,
}

/// Looks until told to stop.
pub async fn run(samples: Samples, services: Services, pool: Pool, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        let looked = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            looked = look(&services, &pool) => looked,
        };
        samples.keep(looked);
        tokio::select! { () = tokio::time::sleep(EVERY) => {}, () = stop.cancelled() => return Ok(()) }
    }
}

/// Asks again and again what keeps orders, where the console has somebody to ask, while somebody looks.
pub async fn run_stuck(samples: Samples, services: Services, stop: CancellationToken) -> anyhow::Result<()> {
    if !services.knows_what_is_stuck() {
        stop.cancelled().await;
        return Ok(());
    }
    loop {
        if !samples.is_looked_at() {
            tokio::select! { () = samples.1.looked.notified() => {}, () = stop.cancelled() => break }
        }
        let Some(answer) = stop.run_until_cancelled(services.stuck()).await else { break };
        match answer.map(Found::read) {
            Ok(Some(found)) => samples.keep_found(found),
            Ok(None) => tracing::info!("what WATCH_URL answers at /stuck is none of `quadrille stuck`"),
            Err(failure) => tracing::debug!(why = ?failure, "nobody says what keeps orders"),
        }
        samples.1.told.notify_waiters();
        tokio::select! { () = tokio::time::sleep(STUCK_EVERY) => {}, () = stop.cancelled() => break }
    }
    Ok(())
}

async fn look(services: &Services, pool: &Pool) -> (Option<Now>, Vec<Health>) {
    let flow = async {
        let mut conn = pool.get().await.ok()?;
        figures::now(&mut conn).await.ok()
    };
    tokio::join!(flow, health(services))
}

/// How the services are just now.
pub async fn health(services: &Services) -> Vec<Health> {
    join_all(Service::ALL.map(|service| of_service(services, service))).await
}

async fn of_service(services: &Services, service: Service) -> Health {
    let (ready, told, relay) = tokio::join!(
        services.told(service, "/readyz"),
        services.told(service, "/metrics"),
        services.told_by_relay(service, "/metrics")
    );
    let ready = ready.ok().and_then(|ready| serde_json::from_str::<serde_json::Value>(&ready).ok());
    let checks = ready.as_ref().and_then(|ready| ready["checks"].as_object()).into_iter().flatten();
    let checks = checks.map(|(name, told)| (name.clone(), told.as_str().unwrap_or_default().to_owned())).collect();
    // A service with an address for operators tells there alone, and answers 404 here.
    let state = match ready.as_ref().map(|ready| &ready["status"]) {
        Some(serde_json::Value::String(state)) => state.clone(),
        Some(status) if *status == 404 => "not told".to_owned(),
        _ => "away".to_owned(),
    };
    let mut health = Health {
        service: service.name(),
        state,
        checks,
        gauges: Gauges::default(),
        partitions: Vec::new(),
        away: Vec::new(),
    };
    health.hear(told.as_deref().unwrap_or_default(), relay);
    health
}

/// Services of which nothing is known: they tell operators alone how they are.
pub fn silent(health: &[Health]) -> Vec<&'static str> {
    health
        .iter()
        .filter(|health| health.gauges == Gauges::default() && health.state != "away")
        .map(|health| health.service)
        .collect()
}

impl Health {
    /// Takes in what the service tells, and of its outbox what its relay does, if that is a program of its own.
    fn hear(&mut self, told: &str, relay: Option<Result<String, Failure>>) {
        let is_of_relay = |metric: &Metric<'_>| metric.name.starts_with("outbox_relay_");
        for metric in metrics::read(told, &READ).filter(|metric| relay.is_none() || !is_of_relay(metric)) {
            self.add(&metric);
        }
        match relay {
            // One that stands by does not know whether another leads; the service does, and says so at /readyz.
            Some(Ok(told)) => metrics::read(&told, &READ)
                .filter(|metric| is_of_relay(metric) && (metric.name != "outbox_relay_leading" || metric.value > 0.0))
                .for_each(|metric| self.add(&metric)),
            Some(Err(_)) => self.checks.push(("relay".to_owned(), "it does not answer".to_owned())),
            None => {}
        }
    }

    fn add(&mut self, metric: &Metric<'_>) {
        let Metric { name, value, .. } = *metric;
        let gauges = &mut self.gauges;
        let (sum, largest) = (
            |known: Option<f64>| Some(known.unwrap_or(0.0) + value),
            |known: Option<f64>| Some(known.map_or(value, |known| known.max(value))),
        );
        match name {
            "consumer_lag_records" => gauges.lag_records = sum(gauges.lag_records),
            "consumer_lag_seconds" => gauges.lag_seconds = largest(gauges.lag_seconds),
            "consumer_dead_letters" => gauges.dead_letters = sum(gauges.dead_letters),
            "consumer_parked_keys" => gauges.parked_keys = sum(gauges.parked_keys),
            "consumer_broker_away" => gauges.broker_away = largest(gauges.broker_away),
            "consumer_stopped" => gauges.stopped = largest(gauges.stopped),
            "consumer_lane_waits_for_lock" => gauges.waits_for_lock = largest(gauges.waits_for_lock),
            "outbox_relay_pending_estimate" => gauges.pending_rows = sum(gauges.pending_rows),
            "outbox_relay_oldest_pending_seconds" => gauges.oldest_row_seconds = largest(gauges.oldest_row_seconds),
            "outbox_relay_parked_rows" => gauges.parked_rows = sum(gauges.parked_rows),
            "outbox_relay_leading" => gauges.leaders = sum(gauges.leaders),
            "outbox_relay_outage" => gauges.outage = largest(gauges.outage),
            "outbox_relay_waiting" => gauges.relay_waits = largest(gauges.relay_waits),
            "timers_oldest_due_seconds" => gauges.timers_late_seconds = largest(gauges.timers_late_seconds),
            "database_oldest_transaction_seconds" => {
                gauges.oldest_transaction_seconds = largest(gauges.oldest_transaction_seconds);
            }
            "outside_server_away" if value > 0.0 && self.away.len() < 20 => {
                self.away.push(metric.label("server").unwrap_or("a server").to_owned());
            }
            _ => {}
        }
        if let (Some(topic), Some(partition)) = (metric.label("topic"), metric.label("partition")) {
            self.lag(name, topic, partition, value);
        }
    }

    fn lag(&mut self, name: &str, topic: &str, partition: &str, value: f64) {
        let known = self.partitions.iter().position(|lag| lag.topic == topic && lag.partition == partition);
        if known.is_none() && self.partitions.len() < PARTITIONS {
            let (topic, partition) = (topic.to_owned(), partition.to_owned());
            self.partitions.push(Lag { topic, partition, records: 0.0, seconds: 0.0 });
        }
        let at = known.unwrap_or(self.partitions.len().saturating_sub(1));
        let Some(lag) = self.partitions.get_mut(at).filter(|lag| lag.topic == topic && lag.partition == partition)
        else {
            return;
        };
        match name {
            "consumer_lag_records" => lag.records = value,
            "consumer_lag_seconds" => lag.seconds = value,
            _ => {}
        }
    }
}

impl Samples {
    /// How orders flow.
    pub const fn flow(&self) -> &Counted {
        &self.2
    }

    fn keep(&self, (flow, health): (Option<Now>, Vec<Health>)) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.hour.len() == KEPT {
            seen.hour.pop_front();
        }
        seen.hour.push_back(Point {
            at: Utc::now(),
            flow,
            services: health.iter().map(|health| health.gauges).collect(),
        });
        seen.now = Some((Utc::now(), health.into()));
    }

    pub fn keep_found(&self, found: Found) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).found = Some((Utc::now(), Arc::new(found)));
    }

    /// What keeps orders, if somebody says it. It is asked for as long as somebody looks.
    pub async fn found(&self, services: &Services) -> Option<Arc<Found>> {
        if !services.knows_what_is_stuck() {
            return None;
        }
        let told = self.1.told.notified();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).looked = Some(Instant::now());
        self.1.looked.notify_one();
        if self.fresh().is_none() {
            tokio::time::timeout(STUCK_WAIT, told).await.ok();
        }
        self.fresh()
    }

    fn is_looked_at(&self) -> bool {
        let looked = self.0.lock().unwrap_or_else(PoisonError::into_inner).looked;
        looked.is_some_and(|looked| looked.elapsed() < LOOKS_ON)
    }

    fn fresh(&self) -> Option<Arc<Found>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).found.clone();
        known.filter(|(at, _)| Utc::now() - *at < STUCK_FRESH).map(|(_, found)| found)
    }

    /// How the services are: as they were seen last, or else as they say now.
    pub async fn health(&self, services: &Services) -> Arc<[Health]> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).now.clone();
        match known {
            Some((at, health)) if Utc::now() - at < FRESH => health,
            _ => health(services).await.into(),
        }
    }

    /// A figure over the last hour, the oldest first; no number where it was not seen.
    pub fn line(&self, figure: impl Fn(&Point) -> Option<f64>) -> Vec<f64> {
        let (now, seen) = (Utc::now(), self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut line = vec![f64::NAN; KEPT];
        for point in &seen.hour {
            let age = usize::try_from((now - point.at).num_milliseconds()).unwrap_or_default() / SLOT;
            let place = KEPT.checked_sub(age + 1).and_then(|place| line.get_mut(place));
            if let (Some(known), Some(value)) = (place, figure(point)) {
                *known = known.max(value);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobody() -> Health {
        let gauges = Gauges::default();
        Health { service: "x", state: "ready".to_owned(), checks: vec![], gauges, partitions: vec![], away: vec![] }
    }

    #[test]
    fn figures_of_partitions_and_relays_are_summed_up() {
        let text = "consumer_lag_records{topic=\"orders.v1\",partition=\"0\"} 3\n\
            consumer_lag_records{topic=\"orders.v1\",partition=\"1\"} 4\n\
            consumer_lag_seconds{topic=\"orders.v1\",partition=\"0\"} 2.5\n\
            outbox_relay_leading{relay=\"a\"} 1\noutbox_relay_leading{relay=\"b\"} 0\n\
            outside_server_away{server=\"gateway\"} 1\noutside_server_away{server=\"mail\"} 0\n";
        let mut health = nobody();
        metrics::read(text, &READ).for_each(|metric| health.add(&metric));
        let Gauges { lag_records, lag_seconds, leaders, dead_letters, .. } = health.gauges;
        assert_eq!((lag_records, lag_seconds, leaders, dead_letters), (Some(7.0), Some(2.5), Some(1.0), None));
        assert_eq!(health.away, ["gateway"]);
        let first = Lag { topic: "orders.v1".to_owned(), partition: "0".to_owned(), records: 3.0, seconds: 2.5 };
        assert_eq!((health.partitions.len(), &health.partitions[0]), (2, &first));
    }

    #[test]
    fn of_an_outbox_its_relay_tells_where_that_is_a_program_of_its_own() {
        let service = "outbox_relay_leading 0\nconsumer_dead_letters 2\n";
        let relay = "outbox_relay_leading 1\noutbox_relay_pending_estimate 7\nconsumer_dead_letters 9\n";
        let told = |relay: Option<Result<String, Failure>>| {
            let mut health = nobody();
            health.hear(service, relay);
            (health.gauges.leaders, health.gauges.pending_rows, health.gauges.dead_letters, health.checks.len())
        };
        assert_eq!(told(None), (Some(0.0), None, Some(2.0), 0));
        assert_eq!(told(Some(Ok(relay.to_owned()))), (Some(1.0), Some(7.0), Some(2.0), 0));
        assert_eq!(told(Some(Ok("outbox_relay_leading 0\n".to_owned()))), (None, None, Some(2.0), 0), "it stands by");
        let away = Failure::Away { service: "order-svc", why: "refused".to_owned() };
        assert_eq!(told(Some(Err(away))), (None, None, Some(2.0), 1));
    }

    #[test]
    fn an_hour_is_kept_and_no_more_and_what_was_not_seen_is_no_number() {
        let samples = Samples::default();
        for pending in 0..1_000 {
            samples.keep((Some(Now { pending, ..Now::default() }), vec![nobody()]));
        }
        assert_eq!(samples.0.lock().unwrap().hour.len(), KEPT);
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let pending = |point: &Point| point.flow.as_ref().map(|flow| flow.pending as f64);
        let line = samples.line(pending);
        assert_eq!((line.len(), line[KEPT - 1]), (KEPT, 999.0), "all of them were seen within half a minute");
        assert!(line[..KEPT - 2].iter().all(|value| value.is_nan()));
        samples.0.lock().unwrap().hour.iter_mut().for_each(|point| point.at -= TimeDelta::minutes(30));
        assert_eq!(samples.line(pending)[KEPT / 2 - 1], 999.0, "half an hour ago");
        samples.0.lock().unwrap().hour.iter_mut().for_each(|point| point.at -= TimeDelta::minutes(31));
        assert!(samples.line(pending).iter().all(|value| value.is_nan()));
    }
}
