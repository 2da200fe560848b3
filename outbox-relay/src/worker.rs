//! The worker: a process that publishes the outboxes of one or several databases, or stands by for them.

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use service_kit::auth::Guard;
use service_kit::config::{HttpConfig, Reader, TelemetryConfig};
use service_kit::http::{HttpServer, Readiness, bind};
use service_kit::kafka::Brokers;
use service_kit::{pool, program};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::config::{RelayConfig, vars};
use crate::kafka::KafkaPublisher;
use crate::relay::Relay;

/// The worker's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The databases to publish, each with the name that metrics and log show.
    pub databases: Vec<(String, SecretString)>,
    /// The brokers.
    pub brokers: Brokers,
    /// The address of `/healthz`, `/readyz` and `/metrics`.
    pub metrics: HttpConfig,
    /// The header that carries a row's trace context.
    pub trace_header: String,
    /// How long published rows are kept; not at all when there is none.
    pub archive: Option<Archive>,
    /// The format of the log.
    pub telemetry: TelemetryConfig,
}

impl Config {
    /// Reads the worker's variables.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let databases = read_databases(reader);
        let brokers = Brokers::read(reader);
        let metrics = HttpConfig::address(reader, &vars::METRICS_ADDR);
        let trace_header = reader.read(&vars::OUTBOX_RELAY_TRACE_HEADER);
        let archive = reader.optional(&vars::OUTBOX_RELAY_ARCHIVE);
        let telemetry = TelemetryConfig::read(reader);
        Some(Self {
            databases: databases?,
            brokers: brokers?,
            metrics: metrics?,
            trace_header: trace_header?,
            archive: archive?,
            telemetry: telemetry?,
        })
    }
}

pub(crate) fn read_databases(reader: &mut Reader) -> Option<Vec<(String, SecretString)>> {
    let list = reader.secret(&vars::OUTBOX_RELAY_DATABASES)?;
    let databases: Result<Vec<_>, String> = pool::list(list.expose_secret()).iter().map(|url| named(url)).collect();
    let databases = databases.map_err(|why| format!("of a part of it: {why}")).and_then(|databases| {
        let mut names: Vec<_> = databases.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
        if twice { Err("a database is named twice".to_owned()) } else { Ok(databases) }
    });
    databases.map_err(|why| reader.refuse(&vars::OUTBOX_RELAY_DATABASES, why)).ok()
}

/// A database's name is hosts, ports and database: two servers may have databases of one name.
pub(crate) fn named(url: &str) -> Result<(String, SecretString), String> {
    pool::check(url)?;
    Ok((pool::place(url), SecretString::from(url)))
}

/// A worker whose HTTP is bound and whose relays don't run yet.
pub struct Worker {
    relays: Vec<Relay<KafkaPublisher>>,
    http: HttpServer,
    stop: CancellationToken,
}

impl Worker {
    /// Binds HTTP. The databases and the brokers need not be there yet.
    ///
    /// # Errors
    /// The address of `METRICS_ADDR` can't be bound.
    pub fn build(config: &Config) -> anyhow::Result<Self> {
        let relay = |(name, url): &(String, SecretString)| {
            let relay = RelayConfig::new(name, url.clone(), &config.brokers).archive(config.archive);
            Relay::to_kafka(relay.trace_header(&config.trace_header))
        };
        let relays: Vec<_> = config.databases.iter().map(relay).collect();
        let health: Vec<_> = relays.iter().map(Relay::health).collect();
        let ready = Readiness::default().and("relays", move || {
            let well = health.iter().all(|relay| relay.well());
            async move { well }
        });
        let stop = CancellationToken::new();
        let http = bind("outbox-relay", config.metrics.clone(), ready, Guard::for_everybody(), stop.clone(), |_| {})?;
        Ok(Self { relays, http, stop })
    }

    /// The port that its HTTP is bound to.
    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Works until told to stop, then drains.
    ///
    /// # Errors
    /// HTTP or a relay ends by itself. The others are drained first, so that whoever runs the worker can start it again.
    pub async fn run_until(self, stop: CancellationToken) -> anyhow::Result<()> {
        let (mut relays, mut http) = (JoinSet::new(), JoinSet::new());
        let drain = stop.child_token();
        for relay in self.relays {
            relays.spawn(relay.run(drain.clone()));
        }
        http.spawn(self.http.run());
        let worked = until_told_or_broken(&stop, &mut relays, &mut http).await;
        drain.cancel();
        // HTTP stays until the relays have drained, so that a probe sees them do it.
        let mut drained = Ok(());
        while let Some(relay) = relays.join_next().await {
            drained = drained.and(relay.context("a relay"));
        }
        self.stop.cancel();
        let served = http.join_next().await.map_or(Ok(()), |served| served?.context("the worker's HTTP"));
        worked.and(drained).and(served)
    }
}

/// Waits for the word to stop, during which no relay and no HTTP may end.
async fn until_told_or_broken(
    stop: &CancellationToken,
    relays: &mut JoinSet<()>,
    http: &mut JoinSet<std::io::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        biased; // they end because of it, too
        () = stop.cancelled() => Ok(()),
        Some(relay) = relays.join_next() => {
            relay.context("a relay")?;
            anyhow::bail!("a relay ended by itself")
        }
        Some(served) = http.join_next() => {
            served?.context("the worker's HTTP")?;
            anyhow::bail!("the worker's HTTP ended by itself")
        }
    }
}

/// Runs the worker from the environment until a signal ends it.
///
/// # Errors
/// A variable is missing or wrong, or the address of `METRICS_ADDR` is taken.
pub async fn run() -> anyhow::Result<()> {
    let build = async |config| Worker::build(&config);
    program::run("outbox-relay", Config::read, |config| &config.telemetry, build, Worker::run_until).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn databases(list: &str) -> Result<Vec<String>, String> {
        let mut reader = Reader::from_pairs([("OUTBOX_RELAY_DATABASES", list)]);
        let databases = read_databases(&mut reader);
        reader.finish().map_err(|error| error.to_string())?;
        Ok(databases.into_iter().flatten().map(|(name, _)| name).collect())
    }

    async fn ends(relay: impl Future<Output = ()> + Send + 'static, http: std::io::Result<()>) -> String {
        let (mut relays, mut server) = (JoinSet::new(), JoinSet::new());
        relays.spawn(std::future::pending());
        relays.spawn(relay);
        server.spawn(async move { if http.is_ok() { std::future::pending().await } else { http } });
        let ended = until_told_or_broken(&CancellationToken::new(), &mut relays, &mut server).await;
        format!("{:#}", ended.unwrap_err())
    }

    #[tokio::test]
    async fn a_relay_or_http_that_ends_by_itself_ends_the_worker_with_an_error() {
        assert!(ends(async { panic!("broken") }, Ok(())).await.starts_with("a relay: "));
        assert_eq!(ends(async {}, Ok(())).await, "a relay ended by itself");
        let failed = Err(std::io::Error::other("no more sockets"));
        assert_eq!(ends(std::future::pending(), failed).await, "the worker's HTTP: no more sockets");
    }

    #[test]
    fn databases_are_named_by_their_place() {
        let list = "postgres://a:pw@one:5433/x, postgresql://b@two/y";
        assert_eq!(databases(list), Ok(vec!["one:5433/x".to_owned(), "two:5432/y".to_owned()]));
    }

    #[test]
    fn a_list_that_can_not_be_is_refused_without_showing_it() {
        for list in ["postgres://a:hunter2@one", "mysql://a:hunter2@b/c", "postgres://a:hunter2@b/c,", "x"] {
            let told = databases(list).unwrap_err();
            assert!(told.contains("OUTBOX_RELAY_DATABASES is refused") && !told.contains("hunter2"), "{told}");
        }
        assert!(databases("postgres://a@b/c,postgres://d@b/c").unwrap_err().contains("named twice"));
    }
}
