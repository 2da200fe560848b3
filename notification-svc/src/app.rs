//! Wiring: HTTP, consumer, a worker for each channel, and relay under one shutdown token.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use outbox_relay::DeadLetters;
use outbox_relay::service::Service;
use service_kit::Pool;
use service_kit::circuit_breaker::{CircuitBreaker, Outage};
use service_kit::consumer::{Consumer, ConsumerHandle};
use service_kit::external_calls::Worker;
use service_kit::http::{HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Guests};
use crate::delivery::{Deliveries, Sender, server_name};
use crate::domain::{Channel, Writer};
use crate::housekeeping::times_to_live;
use crate::http::{ACCESS, routes};
use crate::push::Firebase;
use crate::reactions::{NotificationReactions, subscriptions};
use crate::sms::Twilio;
use crate::{GROUP, metrics, migrations};

/// How many mails are on their way at the same time; each holds a connection to the mail server.
const MAILS_AT_ONCE: usize = 16;
/// How many messages of another channel are.
const MESSAGES_AT_ONCE: usize = 8;
/// How long a stop waits for messages under way. One that is cut off is sent again later, with the same id.
const DRAIN: Duration = Duration::from_secs(5);

pub struct App {
    service: Service,
    http: HttpServer,
    consumer: Consumer<NotificationReactions, DeadLetters>,
    workers: Vec<Worker<Deliveries>>,
    notifications_ttl: Duration,
}

impl App {
    /// Migrates, connects and binds. Nothing is read, sent or published before [`App::run_until`].
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        metrics::describe();
        let senders = senders(&config)?;
        let shop = config.guests.as_ref().map(|guests| guests.shop.clone());
        let writer = Writer::new().context("the letters' templates can't be parsed")?.with_guest_links(shop);
        let writer = senders.iter().fold(writer, |writer, (channel, _)| writer.offering(*channel));
        let service = Service::open(GROUP, &config.service, &migrations(), ACCESS).await?;
        let (mut workers, mut servers) = (Vec::new(), Vec::new());
        for (channel, sender) in senders {
            let deliveries = deliveries(&service, channel, sender, config.guests.as_ref());
            servers.push((server_name(channel), deliveries.server().clone()));
            let at_once = if channel == Channel::Email { MAILS_AT_ONCE } else { MESSAGES_AT_ONCE };
            workers.push(Worker::new(server_name(channel), deliveries, at_once));
        }
        let reactions = NotificationReactions::new(writer, workers.iter().map(Worker::nudge));
        let consumer = service.consumer(subscriptions(), reactions);
        let ready = readiness(&service, &consumer.handle(), servers);
        let routes = routes(service.pool.of(Share::Requests))?;
        let http = service.bind(config.service.http, ready, routes)?;
        Ok(Self { service, http, consumer, workers, notifications_ttl: config.notifications_ttl })
    }

    pub const fn port(&self) -> u16 {
        self.http.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Then it stops in the order in
    /// which work flows: requests, consumer, messages under way, relay.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { service, http, consumer, workers, notifications_ttl } = self;
        let more = |tasks: &mut Tasks, pool: Pool| {
            let hearing = tasks.next_stage();
            tasks.run(consumer.run(hearing.clone()));
            tasks.run(service_kit::housekeeping::run(pool, times_to_live(notifications_ttl), hearing.clone()));
            for worker in workers {
                tasks.run(send(worker, hearing.clone()));
            }
        };
        service.run_until(shutdown, http, more).await
    }
}

/// Who sends the messages of each channel that is configured.
fn senders(config: &Config) -> anyhow::Result<Vec<(Channel, Arc<dyn Sender>)>> {
    let mut senders = vec![(Channel::Email, config.mail_transport.open(&config.mail_from)?)];
    if let Some(twilio) = &config.sms {
        senders.push((Channel::Sms, Arc::new(Twilio::new(twilio.clone())?)));
    }
    if let Some(firebase) = &config.push {
        senders.push((Channel::Push, Arc::new(Firebase::new(firebase.clone())?)));
    }
    Ok(senders)
}

fn deliveries(service: &Service, channel: Channel, sender: Arc<dyn Sender>, guests: Option<&Guests>) -> Deliveries {
    let nudge = service.nudge();
    let deliveries = Deliveries::new(service.pool.of(Share::Workers), channel, sender, move || nudge.nudge());
    deliveries.with_guest_links(guests.map(|guests| guests.links.clone()))
}

async fn send(worker: Worker<Deliveries>, stop: CancellationToken) {
    let too_late = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        () = worker.run(stop.clone()) => {}
        () = too_late => tracing::warn!("messages under way were cut off: they will be sent again"),
    }
}

fn readiness(service: &Service, consumer: &ConsumerHandle, servers: Vec<(&'static str, CircuitBreaker)>) -> Readiness {
    servers.into_iter().fold(service.readiness(consumer), |ready, (name, server)| {
        let taken = move || match server.outage() {
            Some(Outage { since, cause }) => Err(format!("the {name} server is away since {since:.0}: {cause}")),
            None => Ok(()),
        };
        ready.and_able(name, move || std::future::ready(taken()))
    })
}
