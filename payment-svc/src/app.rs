//! Wiring: HTTP, consumer, retries, gateway worker and relay under one shutdown token.

use std::{sync::Arc, time::Duration};

use outbox_relay::{DeadLetters, KafkaPublisher, Relay, RelayConfig};
use service_kit::{
    Pool,
    consumer::{Consumer, ConsumerConfig, ConsumerHandle},
    external_calls::Worker,
    http::{self, HttpServer, Readiness},
    migrate, pool,
    tasks::Tasks,
    timers,
};
use shared_events::header;
use tokio_util::sync::CancellationToken;

use crate::{
    Config, GROUP, NAME,
    gateway::Stripe,
    housekeeping::{UPKEEP, times_to_live},
    http::{AppState, routes},
    migrations,
    reactions::{PaymentReactions, subscriptions},
    retries::Retries,
    store::calls::{self, Failing},
    worker::{CustomerLookUps, GatewayCalls},
};

/// How many gateway calls are under way at the same time, at most: each holds a connection only before and after it.
const CALLS_AT_ONCE: usize = 16;

/// How many customers are looked up at the same time, at most: they wait anyway, and the gateway limits what it is asked.
const LOOK_UPS_AT_ONCE: usize = 4;

/// A call that has failed for so long makes the service degraded; before that it is a hiccup.
const FAILING_FOR: Duration = Duration::from_secs(10);

/// The service, bound and ready to run.
pub struct App {
    http: HttpServer,
    consumer: Consumer<PaymentReactions, DeadLetters>,
    worker: Worker<GatewayCalls<Stripe>>,
    look_ups: Worker<CustomerLookUps<Stripe>>,
    retries: Retries,
    relay: Relay<KafkaPublisher>,
    pool: Pool,
    listening: CancellationToken,
}

impl App {
    /// Migrates, connects and binds. Nothing is read, called or published before [`App::run_until`].
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
        let (nudge, gateway) = (relay.nudge(), Arc::new(Stripe::new(config.gateway)?));
        let calls = GatewayCalls::new(pool.of(pool::Share::Workers), gateway.clone(), move || nudge.nudge());
        let worker = Worker::new("gateway", calls, CALLS_AT_ONCE);
        let (nudge, calling) = (relay.nudge(), worker.nudge());
        let look_ups = CustomerLookUps::new(pool.clone(), gateway.clone(), move || {
            nudge.nudge();
            calling.nudge();
        });
        let look_ups = Worker::new("customers", look_ups, LOOK_UPS_AT_ONCE);
        let reactions = PaymentReactions { deadline: config.deadline, relay: relay.nudge(), calls: worker.nudge() };
        let retries = Retries { calls: worker.nudge() };
        let heard = ConsumerConfig::new(GROUP, &config.kafka).archived(config.relay_archive.map(Duration::from));
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), Arc::new(reactions), DeadLetters);
        let listening = CancellationToken::new();
        let ready = readiness(&pool, &consumer.handle(), &relay);
        let state = AppState {
            pool: pool.of(pool::Share::Requests),
            gateway,
            webhook_secrets: config.webhook_secrets,
            relay: relay.nudge(),
            calls: worker.nudge(),
        };
        let http = http::bind(NAME, config.http, ready, listening.clone(), routes(state)?)?;
        Ok(Self { http, consumer, worker, look_ups, retries, relay, pool, listening })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then stops in the order in which
    /// work flows: requests, what is heard, calls under way, what is still to be published.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (pool, heard) = (self.pool.clone(), self.consumer.handle());
        let mut tasks = Tasks::new(shutdown, self.listening);
        tasks.run(self.http.run());
        let hearing = tasks.next_stage();
        tasks.run(self.consumer.run(hearing.clone()));
        tasks.run(timers::run(pool.clone(), heard, self.retries, hearing.clone()));
        tasks.run(service_kit::housekeeping::run_with(pool, UPKEEP, times_to_live(), hearing));
        let calling = tasks.next_stage();
        tasks.run(self.look_ups.run(calling.clone()));
        tasks.run(self.worker.run(calling));
        let publishing = tasks.next_stage();
        tasks.run(self.relay.run(publishing));
        let ended = tasks.until_ended().await;
        self.pool.close();
        ended
    }
}

fn readiness(pool: &Pool, consumer: &ConsumerHandle, relay: &Relay<KafkaPublisher>) -> Readiness {
    let pool_of_calls = pool.clone();
    relay
        .health()
        .asked_by(Readiness::of(pool, consumer))
        .and_able("gateway", move || gateway_answers(pool_of_calls.clone()))
}

/// Whether calls to the gateway are answered; else which isn't, since when and why.
///
/// # Errors
/// In words.
async fn gateway_answers(pool: Pool) -> Result<(), String> {
    let mut conn = pool.get().await.map_err(|_| "not known: the database can't be asked".to_owned())?;
    match calls::failing(&mut conn, FAILING_FOR).await {
        Ok(None) => Ok(()),
        Ok(Some(Failing { operation, error_code, error, since })) => {
            Err(format!("a call ({operation}) has no answer since {since:.0}: {error_code}, {error}"))
        }
        Err(_) => Err("not known: the database can't be asked".to_owned()),
    }
}
