//! Wiring: HTTP, consumer, retries, gateway worker and relay under one shutdown token.

use std::{sync::Arc, time::Duration};

use outbox_relay::{DeadLetters, service::Service};
use service_kit::consumer::{Consumer, ConsumerHandle};
use service_kit::external_calls::{Nudge, Worker};
use service_kit::http::{HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, timers};
use tokio_util::sync::CancellationToken;

use crate::gateway::Stripe;
use crate::housekeeping::{UPKEEP, times_to_live};
use crate::http::{ACCESS, AppState, routes};
use crate::reactions::{PaymentReactions, subscriptions};
use crate::retries::Retries;
use crate::store::calls::{self, Failing};
use crate::worker::{CustomerLookUps, GatewayCalls};
use crate::{Config, NAME, metrics, migrations};

/// How many gateway calls are under way at the same time, at most: each holds a connection only before and after it.
const CALLS_AT_ONCE: usize = 32;

/// How many customers are looked up at the same time, at most: they wait anyway, and the gateway limits what it is asked.
const LOOK_UPS_AT_ONCE: usize = 4;

/// A call that has failed for so long makes the service degraded; before that it is a hiccup.
const FAILING_FOR: Duration = Duration::from_secs(10);

pub struct App {
    service: Service,
    http: HttpServer,
    consumer: Consumer<PaymentReactions, DeadLetters>,
    worker: Worker<GatewayCalls<Stripe>>,
    look_ups: Worker<CustomerLookUps<Stripe>>,
    retries: Retries,
}

impl App {
    /// Migrates, connects and binds. Nothing is read, called or published before [`App::run_until`].
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        metrics::describe();
        let service = Service::open(NAME, &config.service, &migrations(), ACCESS).await?;
        let (nudge, gateway) = (service.nudge(), Arc::new(Stripe::new(config.gateway)?));
        let calls = GatewayCalls::new(service.pool.of(Share::Workers), gateway.clone(), move || nudge.nudge());
        let customers = Nudge::default();
        let worker = Worker::new("gateway", calls.waking(customers.clone()), CALLS_AT_ONCE);
        let (nudge, calling) = (service.nudge(), worker.nudge());
        let look_ups = CustomerLookUps::new(service.pool.clone(), gateway.clone(), move || {
            nudge.nudge();
            calling.nudge();
        });
        let look_ups = Worker::new("customers", look_ups, LOOK_UPS_AT_ONCE).woken_by(customers);
        let reactions = PaymentReactions { deadline: config.deadline, relay: service.nudge(), calls: worker.nudge() };
        let retries = Retries { calls: worker.nudge() };
        let consumer = service.consumer(subscriptions(), reactions);
        let ready = readiness(&service, &consumer.handle());
        let state = AppState {
            pool: service.pool.of(Share::Requests),
            gateway,
            webhook_secrets: config.webhook_secrets,
            relay: service.nudge(),
            calls: worker.nudge(),
        };
        let http = service.bind(config.service.http, ready, routes(state)?)?;
        Ok(Self { service, http, consumer, worker, look_ups, retries })
    }

    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then it stops in the order in
    /// which work flows: requests, consumer, gateway calls, relay.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { service, http, consumer, worker, look_ups, retries } = self;
        let more = |tasks: &mut Tasks, pool: Pool| {
            let (heard, hearing) = (consumer.handle(), tasks.next_stage());
            tasks.run(consumer.run(hearing.clone()));
            tasks.run(timers::run(pool.clone(), heard, retries, hearing.clone()));
            tasks.run(service_kit::housekeeping::run_with(pool, UPKEEP, times_to_live(), hearing));
            let calling = tasks.next_stage();
            tasks.run(look_ups.run(calling.clone()));
            tasks.run(worker.run(calling));
        };
        service.run_until(shutdown, http, more).await
    }
}

fn readiness(service: &Service, consumer: &ConsumerHandle) -> Readiness {
    let pool = service.pool.clone();
    service.readiness(consumer).and_able("gateway", move || gateway_answers(pool.clone()))
}

/// Whether calls to the gateway are answered. If not, the error says which isn't, since when and why.
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
