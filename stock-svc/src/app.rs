//! Wires HTTP, consumer, expiry and relay together under one shutdown token.

use std::sync::Arc;
use std::time::Duration;

use outbox_relay::{DeadLetters, KafkaPublisher, Relay, RelayConfig};
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, migrate, pool, timers};
use shared_events::header;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::expiry::Expiry;
use crate::housekeeping::{UPKEEP, times_to_live};
use crate::http::{AppState, routes};
use crate::reactions::{StockReactions, subscriptions};
use crate::{GROUP, NAME, migrations};

/// The service, bound and ready to run.
pub struct App {
    http: HttpServer,
    consumer: Consumer<StockReactions, DeadLetters>,
    relay: Relay<KafkaPublisher>,
    expiry: Expiry,
    pool: Pool,
    listening: CancellationToken,
}

impl App {
    /// Migrates, connects and binds. It reads and publishes nothing before [`App::run_until`].
    ///
    /// # Errors
    /// Fails if the database doesn't answer, a migration or a grant fails, or the port is taken.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        if let Some(role) = &config.relay_role {
            outbox_relay::grant(&mut *pool.get().await?, role).await?;
        }
        let relay = RelayConfig::new(NAME, config.database.url.clone(), &config.kafka.brokers);
        let relay = relay.mode(config.relay).archive(config.relay_archive).trace_header(header::TRACEPARENT);
        let relay = Relay::to_kafka(relay);
        let nudge = relay.nudge();
        let reactions = StockReactions { reservation_ttl: config.reservation_ttl, nudge: nudge.clone() };
        let heard = ConsumerConfig::new(GROUP, &config.kafka).archived(config.relay_archive.map(Duration::from));
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), Arc::new(reactions), DeadLetters);
        let listening = CancellationToken::new();
        let ready = readiness(&pool, &consumer.handle(), &relay);
        let state = AppState { pool: pool.of(Share::Requests), nudge: nudge.clone() };
        let http = http::bind(NAME, config.http, ready, listening.clone(), routes(state)?)?;
        Ok(Self { http, consumer, relay, expiry: Expiry { nudge }, pool, listening })
    }

    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a task ends by itself, which none should. It then stops the tasks in the
    /// order in which work flows: requests first, then reactions and timers, then the relay.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (pool, heard) = (self.pool.clone(), self.consumer.handle());
        let mut tasks = Tasks::new(shutdown, self.listening);
        tasks.run(self.http.run());
        let hearing = tasks.next_stage();
        tasks.run(self.consumer.run(hearing.clone()));
        tasks.run(timers::run(pool.clone(), heard, self.expiry, hearing.clone()));
        tasks.run(service_kit::housekeeping::run_with(pool, UPKEEP, times_to_live(), hearing));
        let publishing = tasks.next_stage();
        tasks.run(self.relay.run(publishing));
        let ended = tasks.until_ended().await;
        self.pool.close();
        ended
    }
}

fn readiness(pool: &Pool, consumer: &ConsumerHandle, relay: &Relay<KafkaPublisher>) -> Readiness {
    relay.health().asked_by(Readiness::of(pool, consumer))
}
