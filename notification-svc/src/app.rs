//! Wiring: HTTP, consumer, mail worker and relay under one shutdown token.

use std::time::Duration;

use anyhow::Context;
use outbox_relay::DeadLetters;
use outbox_relay::service::Service;
use service_kit::Pool;
use service_kit::circuit_breaker::{CircuitBreaker, Outage};
use service_kit::consumer::{Consumer, ConsumerHandle};
use service_kit::external_calls::Worker;
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
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

pub struct App {
    service: Service,
    http: HttpServer,
    consumer: Consumer<NotificationReactions, DeadLetters>,
    mails: Worker<Deliveries>,
    notifications_ttl: Duration,
}

impl App {
    /// Migrates, connects and binds. Nothing is read, sent or published before [`App::run_until`].
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let sender = config.mail_transport.open(&config.mail_from)?;
        let templates = Templates::new().context("the letters' templates can't be parsed")?;
        let service = Service::open(GROUP, &config.service, &migrations()).await?;
        let nudge = service.nudge();
        let deliveries = Deliveries::new(service.pool.of(Share::Workers), sender, move || nudge.nudge());
        let mail_server = deliveries.server().clone();
        let mails = Worker::new("mail", deliveries, MAILS_AT_ONCE);
        let reactions = NotificationReactions::new(templates, mails.nudge());
        let consumer = service.consumer(subscriptions(), reactions);
        let ready = readiness(&service, &consumer.handle(), mail_server);
        let routes = routes(service.pool.of(Share::Requests))?;
        let http = http::bind(GROUP, config.service.http, ready, service.listening.clone(), routes)?;
        Ok(Self { service, http, consumer, mails, notifications_ttl: config.notifications_ttl })
    }

    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then it stops in the order in
    /// which work flows: requests, consumer, mails under way, relay.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { service, http, consumer, mails, notifications_ttl } = self;
        let more = |tasks: &mut Tasks, pool: Pool| {
            let hearing = tasks.next_stage();
            tasks.run(consumer.run(hearing.clone()));
            tasks.run(service_kit::housekeeping::run(pool, times_to_live(notifications_ttl), hearing.clone()));
            tasks.run(send_mails(mails, hearing));
        };
        service.run_until(shutdown, http, more).await
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

fn readiness(service: &Service, consumer: &ConsumerHandle, mail_server: CircuitBreaker) -> Readiness {
    let taken = move || match mail_server.outage() {
        Some(Outage { since, cause }) => Err(format!("the mail server is away since {since:.0}: {cause}")),
        None => Ok(()),
    };
    service.readiness(consumer).and_able("mail", move || std::future::ready(taken()))
}
