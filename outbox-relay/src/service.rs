//! What every service with an outbox stands on: a database with the outbox in it, a pool, a relay, a consumer, and the order
//! in which they start and stop. A service adds its reactions, its routes and its workers.

use std::sync::Arc;
use std::time::Duration;

use diesel_migrations::EmbeddedMigrations;
use service_kit::auth::{Access, AuthConfig, Guard, GuestLinks};
use service_kit::config::{DatabaseConfig, HttpConfig, KafkaConfig, Reader, TelemetryConfig, Var};
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle, Reactions, Subscription};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, migrate, open_transactions, pool};
use tokio_util::sync::CancellationToken;

use crate::{Archive, DeadLetters, KafkaPublisher, Mode, Nudge, Relay, RelayConfig, grant, vars};

/// The header with the trace context of a row that a service of this workspace appends.
const TRACE_HEADER: &str = "ce_traceparent";

/// The settings that every service with an outbox has.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Where the service listens.
    pub http: HttpConfig,
    /// Whose tokens it accepts.
    pub auth: AuthConfig,
    /// The service's own database, with the outbox in it.
    pub database: DatabaseConfig,
    /// The brokers.
    pub kafka: KafkaConfig,
    /// The log.
    pub telemetry: TelemetryConfig,
    /// Who publishes the outbox.
    pub relay: Mode,
    /// The role that is granted what a relay worker needs of the outbox.
    pub relay_role: Option<String>,
    /// How long published rows are kept.
    pub relay_archive: Option<Archive>,
}

impl ServiceConfig {
    /// Reads all of it, and notes in the reader everything that is wrong. `http_addr` has the service's own default.
    pub fn read(reader: &mut Reader, http_addr: &'static Var) -> Option<Self> {
        let http = HttpConfig::read(reader, http_addr);
        let auth = AuthConfig::read(reader, http.as_ref().map(|http| http.addr));
        let database = DatabaseConfig::read(reader);
        let kafka = KafkaConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        let relay = Mode::read(reader);
        let relay_role = reader.optional(&vars::OUTBOX_RELAY_ROLE);
        let relay_archive = reader.optional(&vars::OUTBOX_RELAY_ARCHIVE);
        Some(Self {
            http: http?,
            auth: auth?,
            database: database?,
            kafka: kafka?,
            telemetry: telemetry?,
            relay: relay?,
            relay_role: relay_role?,
            relay_archive: relay_archive?,
        })
    }
}

/// A service whose database is migrated and whose relay is ready to run.
pub struct Service {
    /// Connections to its database.
    pub pool: Pool,
    /// The relay of its outbox.
    pub relay: Relay<KafkaPublisher>,
    /// Is cancelled when HTTP is to stop, which is first.
    pub listening: CancellationToken,
    name: &'static str,
    guard: Guard,
    heard: ConsumerConfig,
}

impl Service {
    /// Migrates the database, opens the pool, and grants the relay's role its rights. Nothing is read or published before
    /// [`Service::run_until`]. `name` is the service's, and its consumer group's; `access` says who may do what.
    ///
    /// # Errors
    /// Fails if the database stays away, or a migration or a grant fails.
    pub async fn open(
        name: &'static str,
        config: &ServiceConfig,
        migrations: &[EmbeddedMigrations],
        access: Access,
    ) -> anyhow::Result<Self> {
        let guard = Guard::new(access, &config.auth)?;
        migrate::migrate(&config.database.url, migrations).await?;
        let pool = pool::open(&config.database).await?;
        if let Some(role) = &config.relay_role {
            grant(&mut *pool.get().await?, role).await?;
        }
        let relay = RelayConfig::new(name, config.database.url.clone(), &config.kafka.brokers);
        let relay = relay.mode(config.relay).archive(config.relay_archive).trace_header(TRACE_HEADER);
        let heard = ConsumerConfig::new(name, &config.kafka).archived(config.relay_archive.map(Duration::from));
        let guard = guard.recording(pool.of(Share::Requests));
        let listening = CancellationToken::new();
        Ok(Self { pool, relay: Relay::to_kafka(relay), listening, name, guard, heard })
    }

    /// Accepts guests' tokens, too.
    #[must_use]
    pub fn with_guests(self, guests: GuestLinks) -> Self {
        Self { guard: self.guard.with_guests(guests), ..self }
    }

    /// Binds its HTTP server, which says who may do what.
    ///
    /// # Errors
    /// The address can't be bound.
    pub fn bind<F>(&self, listen: HttpConfig, ready: Readiness, routes: F) -> anyhow::Result<HttpServer>
    where
        F: Fn(&mut http::ServiceConfig) + Clone + Send + 'static,
    {
        let guard = self.guard.clone();
        let ready = ready.and_able("auth", move || std::future::ready(guard.is_able()));
        http::bind(self.name, listen, ready, self.guard.clone(), self.listening.clone(), routes)
    }

    /// Wakes the relay after a commit.
    pub fn nudge(&self) -> Nudge {
        self.relay.nudge()
    }

    /// The consumer of these topics, whose dead letters leave through the outbox.
    pub fn consumer<R: Reactions>(&self, subscriptions: Vec<Subscription>, reactions: R) -> Consumer<R, DeadLetters> {
        Consumer::new(self.heard.clone(), subscriptions, self.pool.clone(), Arc::new(reactions), DeadLetters)
    }

    /// The checks of `/readyz`: the database, the consumer and the relay.
    pub fn readiness(&self, consumer: &ConsumerHandle) -> Readiness {
        self.relay.health().asked_by(Readiness::of(&self.pool, consumer))
    }

    /// Serves until told to stop, or until a task ends by itself, which none should. Then stops in the order in which work
    /// flows: requests, the stages that `more` adds (what is heard, calls under way), and what is still to be published.
    ///
    /// # Errors
    /// Fails with the failure of the first task that failed.
    pub async fn run_until(
        self,
        shutdown: CancellationToken,
        http: HttpServer,
        more: impl FnOnce(&mut Tasks, Pool),
    ) -> anyhow::Result<()> {
        let mut tasks = Tasks::new(shutdown, self.listening.clone());
        tasks.run(http.run());
        tasks.run(self.guard.run(self.listening));
        more(&mut tasks, self.pool.clone());
        let publishing = tasks.next_stage();
        tasks.run(open_transactions::watch(self.pool.clone(), publishing.clone()));
        tasks.run(self.relay.run(publishing));
        let ended = tasks.until_ended().await;
        self.pool.close();
        ended
    }
}
