//! Wiring: HTTP, consumer, mail worker and relay under one shutdown token.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use outbox_relay::{DeadLetters, KafkaPublisher, Relay, RelayConfig};
use service_kit::circuit_breaker::{CircuitBreaker, Outage};
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle};
use service_kit::external_calls::Worker;
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::tasks::Tasks;
use service_kit::{Pool, migrate, pool};
use shared_events::header;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::domain::Templates;
use crate::housekeeping::times_to_live;
use crate::http::routes;
use crate::mail::Deliveries;
use crate::reactions::{NotificationReactions, subscriptions};
use crate::{GROUP, migrations};

/// How many mails are on their way at the same time; each holds a connection to the mail server.
const MAILS_AT_ONCE: usize = 16;
/// How long a stop waits for mails under way. One that is cut off is sent again later, with the same Message-ID.
const MAIL_DRAIN: Duration = Duration::from_secs(5);

/// The service, bound and ready to run.
pub struct App {
    http: HttpServer,
    consumer: Consumer<NotificationReactions, DeadLetters>,
    mails: Worker<Deliveries>,
    relay: Relay<KafkaPublisher>,
    notifications_ttl: Duration,
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
        let templates = Templates::new().context("the letters' templates can't be parsed")?;
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        if let Some(role) = &config.relay_role {
            outbox_relay::grant(&mut *pool.get().await?, role).await?;
        }
        let relay = RelayConfig::new(GROUP, config.database.url.clone(), &config.kafka.brokers);
        let relay = relay.mode(config.relay).archive(config.relay_archive).trace_header(header::TRACEPARENT);
        let relay = Relay::to_kafka(relay);
        let nudge = relay.nudge();
        let deliveries = Deliveries::new(pool.of(pool::Share::Workers), sender, move || nudge.nudge());
        let mail_server = deliveries.server().clone();
        let mails = Worker::new("mail", deliveries, MAILS_AT_ONCE);
        let reactions = Arc::new(NotificationReactions::new(templates, mails.nudge()));
        let heard = ConsumerConfig::new(GROUP, &config.kafka).archived(config.relay_archive.map(Duration::from));
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), reactions, DeadLetters);
        let listening = CancellationToken::new();
        let ready = readiness(&pool, &consumer.handle(), &relay, mail_server);
        let http = http::bind(GROUP, config.http, ready, listening.clone(), routes(pool.of(pool::Share::Requests))?)?;
        Ok(Self { http, consumer, mails, relay, notifications_ttl: config.notifications_ttl, pool, listening })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then stops in the order in which
    /// work flows: requests, what is heard, mails under way, what is still to be published.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let mut tasks = Tasks::new(shutdown, self.listening);
        tasks.run(self.http.run());
        let hearing = tasks.next_stage();
        tasks.run(self.consumer.run(hearing.clone()));
        let times_to_live = times_to_live(self.notifications_ttl);
        tasks.run(service_kit::housekeeping::run(self.pool.clone(), times_to_live, hearing.clone()));
        tasks.run(send_mails(self.mails, hearing));
        let publishing = tasks.next_stage();
        tasks.run(self.relay.run(publishing));
        let ended = tasks.until_ended().await;
        self.pool.close();
        ended
    }
}

async fn send_mails(mails: Worker<Deliveries>, stop: CancellationToken) {
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(MAIL_DRAIN).await;
    };
    tokio::select! {
        () = mails.run(stop.clone()) => {}
        () = too_late => tracing::warn!("mails under way were cut off: they will be sent again"),
    }
}

fn readiness(
    pool: &Pool,
    consumer: &ConsumerHandle,
    relay: &Relay<KafkaPublisher>,
    mail_server: CircuitBreaker,
) -> Readiness {
    let taken = move || match mail_server.outage() {
        Some(Outage { since, cause }) => Err(format!("the mail server is away since {since:.0}: {cause}")),
        None => Ok(()),
    };
    relay.health().asked_by(Readiness::of(pool, consumer)).and_able("mail", move || std::future::ready(taken()))
}
