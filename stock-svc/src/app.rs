//! Wiring: HTTP, consumer, expiry and relay under one shutdown token.

use std::sync::Arc;

use anyhow::Context;
use outbox_relay::{KafkaPublisher, Relay, RelayConfig};
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::{Pool, migrate, pool, timers};
use shared_events::header;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::expiry::Expiry;
use crate::http::{AppState, routes};
use crate::reactions::{StockReactions, subscriptions};
use crate::store::dead_letters::DeadLettersToOutbox;
use crate::{GROUP, NAME, migrations};

/// The service, bound and ready to run.
pub struct App {
    http: HttpServer,
    consumer: Consumer<StockReactions, DeadLettersToOutbox>,
    relay: Relay<KafkaPublisher>,
    expiry: Expiry,
    pool: Pool,
    listening: CancellationToken,
}

impl App {
    /// Migrates, connects and binds. Nothing is read or published before [`App::run_until`].
    ///
    /// # Errors
    /// The database stays away, a migration or a grant fails, or the port is taken.
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
        let heard = ConsumerConfig::new(GROUP, &config.kafka);
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), Arc::new(reactions), DeadLettersToOutbox);
        let listening = CancellationToken::new();
        let ready = readiness(&pool, &consumer.handle(), &relay);
        let state = AppState { pool: pool.clone(), nudge: nudge.clone() };
        let http = http::bind(NAME, config.http, ready, listening.clone(), routes(state))?;
        Ok(Self { http, consumer, relay, expiry: Expiry { nudge }, pool, listening })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then stops in the order in which
    /// work flows: requests, what is heard, what is still to be published.
    ///
    /// # Errors
    /// The first part that failed.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (hearing, publishing) = (CancellationToken::new(), CancellationToken::new());
        let heard = self.consumer.handle();
        let http = part(&shutdown, async { self.http.run().await.context("serving HTTP") });
        let consumer = part(&shutdown, self.consumer.run(hearing.clone()));
        let (pool, stop) = (self.pool.clone(), hearing.clone());
        let expiry = part(&shutdown, async move {
            timers::run(pool, heard, self.expiry, stop).await;
            Ok(())
        });
        let stop = publishing.clone();
        let relay = part(&shutdown, async move {
            self.relay.run(stop).await;
            Ok(())
        });

        shutdown.cancelled().await;
        self.listening.cancel();
        let mut ended = vec![http.await];
        hearing.cancel();
        ended.extend([consumer.await, expiry.await]);
        publishing.cancel();
        ended.push(relay.await);
        self.pool.close();
        ended.into_iter().try_for_each(|part| part.context("a part of the service panicked")?)
    }
}

/// Runs a part of the service; when it ends, for whatever reason, everything is told to stop.
fn part(
    shutdown: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) -> JoinHandle<anyhow::Result<()>> {
    let ends_all = shutdown.clone().drop_guard();
    tokio::spawn(async move {
        let _ends_all = ends_all;
        work.await
    })
}

fn readiness(pool: &Pool, consumer: &ConsumerHandle, relay: &Relay<KafkaPublisher>) -> Readiness {
    let relay = relay.health();
    Readiness::of(pool, consumer).and("relay", move || std::future::ready(relay.well()))
}
