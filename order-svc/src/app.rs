//! Wiring: HTTP, consumer, deadlines, housekeeping and relay under one shutdown token.

use std::time::Duration;

use actix_web::web::Data;
use outbox_relay::DeadLetters;
use outbox_relay::service::Service;
use service_kit::consumer::Consumer;
use service_kit::http::HttpServer;
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, timers};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::deadline::Deadlines;
use crate::housekeeping::times_to_live;
use crate::http::{ACCESS, AppState, routes};
use crate::live::{Live, Tail};
use crate::prices::PricesKnown;
use crate::reactions::{OrderReactions, subscriptions};
use crate::{NAME, metrics, migrations, overdue};

pub struct App {
    service: Service,
    http: HttpServer,
    consumer: Consumer<OrderReactions, DeadLetters>,
    prices_known: PricesKnown,
    tail: Tail,
    history_ttl: Duration,
}

impl App {
    /// Migrates, connects and binds. Nothing is read or published before [`App::run_until`].
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        metrics::describe();
        let mut service = Service::open(NAME, &config.service, &migrations(), ACCESS).await?;
        if let Some(guests) = &config.guests {
            service = service.with_guests(guests.clone());
        }
        let consumer = service.consumer(subscriptions(), OrderReactions::new(service.nudge()));
        let prices_known = PricesKnown::remembered(&service.pool).await?;
        let live = Live::new(service.listening.clone());
        let tail = Tail::new(service.pool.clone(), live.clone()).await?;
        let state = AppState {
            pool: service.pool.of(Share::Requests),
            deadline: config.order_deadline,
            prices_known: prices_known.clone(),
            nudge: service.nudge(),
            live,
            guests: config.guests.clone(),
        };
        let (ready, routes) = (service.readiness(&consumer.handle()), routes(Data::new(state))?);
        let http = service.bind(config.service.http, ready, routes)?;
        Ok(Self { service, http, consumer, prices_known, tail, history_ttl: config.history_ttl })
    }

    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then it stops in the order in
    /// which work flows: requests, consumer, relay.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { service, http, consumer, prices_known, tail, history_ttl } = self;
        let deadlines = Deadlines::new(service.nudge());
        let more = |tasks: &mut Tasks, pool: Pool| {
            let (heard, hearing) = (consumer.handle(), tasks.next_stage());
            tasks.run_aside(prices_known.learn(pool.clone(), heard.clone(), hearing.clone()));
            tasks.run(consumer.run(hearing.clone()));
            tasks.run(timers::run(pool.clone(), heard, deadlines, hearing.clone()));
            tasks.run(tail.run(hearing.clone()));
            tasks.run(overdue::run(pool.clone(), hearing.clone()));
            tasks.run(service_kit::housekeeping::run(pool, times_to_live(history_ttl), hearing));
        };
        service.run_until(shutdown, http, more).await
    }
}
