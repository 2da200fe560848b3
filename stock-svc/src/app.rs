//! Wires HTTP, consumer, expiry and relay together under one shutdown token.

use outbox_relay::DeadLetters;
use outbox_relay::service::Service;
use service_kit::consumer::Consumer;
use service_kit::http::HttpServer;
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, timers};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::expiry::Expiry;
use crate::housekeeping::{UPKEEP, times_to_live};
use crate::http::catalogue::KEPT;
use crate::http::{ACCESS, AppState, routes};
use crate::reactions::{StockReactions, subscriptions};
use crate::{NAME, migrations};

pub struct App {
    service: Service,
    http: HttpServer,
    consumer: Consumer<StockReactions, DeadLetters>,
    expiry: Expiry,
}

impl App {
    /// Migrates, connects and binds. It reads and publishes nothing before [`App::run_until`].
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let service = Service::open(NAME, &config.service, &migrations(), ACCESS).await?;
        let nudge = service.nudge();
        let reactions = StockReactions { reservation_ttl: config.reservation_ttl, nudge: nudge.clone() };
        let consumer = service.consumer(subscriptions(), reactions);
        let state = AppState::new(service.pool.of(Share::Requests), nudge.clone(), KEPT);
        let ready = service.readiness(&consumer.handle());
        let http = service.bind(config.service.http, ready, routes(state)?)?;
        Ok(Self { service, http, consumer, expiry: Expiry { nudge } })
    }

    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a task ends by itself, which none should. It then stops the tasks in the
    /// order in which work flows: requests first, then reactions and timers, then the relay.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { service, http, consumer, expiry } = self;
        let more = |tasks: &mut Tasks, pool: Pool| {
            let (heard, hearing) = (consumer.handle(), tasks.next_stage());
            tasks.run(consumer.run(hearing.clone()));
            tasks.run(timers::run(pool.clone(), heard, expiry, hearing.clone()));
            tasks.run(service_kit::housekeeping::run_with(pool, UPKEEP, times_to_live(), hearing));
        };
        service.run_until(shutdown, http, more).await
    }
}
