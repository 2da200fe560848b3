//! Wiring: HTTP, consumer, mail worker and relay under one shutdown token.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use outbox_relay::{KafkaPublisher, Relay, RelayConfig};
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::outside::Worker;
use service_kit::{Pool, migrate, pool};
use shared_events::header;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::Templates;
use crate::http::routes;
use crate::mail::Deliveries;
use crate::reactions::{NotificationReactions, subscriptions};
use crate::store::dead_letters::DeadLettersToOutbox;
use crate::{GROUP, migrations};

/// How many mails are on their way at the same time; each holds a connection to the mail server.
const MAILS_AT_ONCE: usize = 8;
/// How long a stop waits for mails under way. One that is cut off is sent again later, with the same Message-ID.
const MAIL_DRAIN: Duration = Duration::from_secs(5);

/// The service, bound and ready to run.
pub struct App {
    http: HttpServer,
    consumer: Consumer<NotificationReactions, DeadLettersToOutbox>,
    mails: Worker<Deliveries>,
    relay: Relay<KafkaPublisher>,
    pool: Pool,
    listening: CancellationToken,
}

impl App {
    /// Migrates, connects and binds. Nothing is read, sent or published before [`App::run_until`].
    ///
    /// # Errors
    /// The database stays away, a migration or a grant fails, the mail folder can't be made, or the port is taken.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let sender = config.mail_transport.open(&config.mail_from)?;
        let templates = Templates::new().context("the letters' texts can't be read")?;
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        if let Some(role) = &config.relay_role {
            outbox_relay::grant(&mut *pool.get().await?, role).await?;
        }
        let relay = RelayConfig::new(GROUP, config.database.url.clone(), &config.kafka.brokers);
        let relay = relay.mode(config.relay).archive(config.relay_archive).trace_header(header::TRACEPARENT);
        let relay = Relay::to_kafka(relay);
        let nudge = relay.nudge();
        let mails = Worker::new("mail", Deliveries::new(pool.clone(), sender, move || nudge.nudge()), MAILS_AT_ONCE);
        let reactions = Arc::new(NotificationReactions::new(templates, mails.nudge()));
        let heard = ConsumerConfig::new(GROUP, &config.kafka);
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), reactions, DeadLettersToOutbox);
        let listening = CancellationToken::new();
        let ready = readiness(&pool, &consumer.handle(), &relay);
        let http = http::bind(GROUP, config.http, ready, listening.clone(), routes(pool.clone()))?;
        Ok(Self { http, consumer, mails, relay, pool, listening })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then stops in the order in which
    /// work flows: requests, what is heard, mails under way, what is still to be published.
    ///
    /// # Errors
    /// The first part that failed.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (hearing, publishing) = (CancellationToken::new(), CancellationToken::new());
        let http = part(&shutdown, async { self.http.run().await.context("serving HTTP") });
        let consumer = part(&shutdown, self.consumer.run(hearing.clone()));
        let (sending, stop) = (hearing.clone(), publishing.clone());
        let mails = part(&shutdown, send_mails(self.mails, sending));
        let relay = part(&shutdown, async move {
            self.relay.run(stop).await;
            Ok(())
        });

        shutdown.cancelled().await;
        self.listening.cancel();
        let mut ended = vec![http.await];
        hearing.cancel();
        ended.extend([consumer.await, mails.await]);
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

async fn send_mails(mails: Worker<Deliveries>, stop: CancellationToken) -> anyhow::Result<()> {
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(MAIL_DRAIN).await;
    };
    tokio::select! {
        () = mails.run(stop.clone()) => {}
        () = too_late => tracing::warn!("mails under way were cut off: they will be sent again"),
    }
    Ok(())
}

fn readiness(pool: &Pool, consumer: &ConsumerHandle, relay: &Relay<KafkaPublisher>) -> Readiness {
    let relay = relay.health();
    Readiness::of(pool, consumer).and("relay", move || std::future::ready(relay.well()))
}
