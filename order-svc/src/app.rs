//! Wiring: HTTP, consumer, deadlines, housekeeping and relay under one shutdown token.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use outbox_relay::{DeadLetters, KafkaPublisher, Relay, RelayConfig};
use service_kit::consumer::{Consumer, ConsumerConfig, ConsumerHandle};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, migrate, pool, timers};
use shared_events::header;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::deadline::Deadlines;
use crate::housekeeping::times_to_live;
use crate::http::{AppState, routes};
use crate::live::{Live, Tail};
use crate::prices::PricesKnown;
use crate::reactions::{OrderReactions, subscriptions};
use crate::{GROUP, NAME, migrations};

/// The service, bound and ready to run.
pub struct App {
    http: HttpServer,
    consumer: Consumer<OrderReactions, DeadLetters>,
    relay: Relay<KafkaPublisher>,
    deadlines: Deadlines,
    prices_known: PricesKnown,
    tail: Tail,
    history_ttl: Duration,
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
        let reactions = Arc::new(OrderReactions::new(relay.nudge()));
        let heard = ConsumerConfig::new(GROUP, &config.kafka).archived(config.relay_archive.map(Duration::from));
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), reactions, DeadLetters);
        let deadlines = Deadlines::new(relay.nudge());
        let prices_known = PricesKnown::remembered(&pool).await?;
        let listening = CancellationToken::new();
        let live = Live::new(listening.clone());
        let tail = Tail::new(pool.clone(), live.clone()).await?;
        let state = AppState {
            pool: pool.of(Share::Requests),
            deadline: config.order_deadline,
            prices_known: prices_known.clone(),
            nudge: relay.nudge(),
            live,
        };
        let ready = readiness(&pool, &consumer.handle(), &relay);
        let http = http::bind(NAME, config.http, ready, listening.clone(), routes(Data::new(state))?)?;
        Ok(Self {
            http,
            consumer,
            relay,
            deadlines,
            prices_known,
            tail,
            history_ttl: config.history_ttl,
            pool,
            listening,
        })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then stops in the order in which
    /// work flows: requests, what is heard, what is still to be published.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (pool, heard) = (self.pool.clone(), self.consumer.handle());
        let mut tasks = Tasks::new(shutdown, self.listening);
        tasks.run(self.http.run());
        let hearing = tasks.next_stage();
        tasks.run_aside(self.prices_known.learn(pool.clone(), heard.clone(), hearing.clone()));
        tasks.run(self.consumer.run(hearing.clone()));
        tasks.run(timers::run(pool.clone(), heard, self.deadlines, hearing.clone()));
        tasks.run(self.tail.run(hearing.clone()));
        tasks.run(service_kit::housekeeping::run(pool, times_to_live(self.history_ttl), hearing));
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
