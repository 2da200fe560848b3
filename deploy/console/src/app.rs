//! Wiring: database, HTTP and consumer under one shutdown token.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service_kit::auth::Guard;
use service_kit::consumer::{Consumer, ConsumerConfig};
use service_kit::housekeeping::{self, TimeToLive};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::pool::Share;
use service_kit::tasks::Tasks;
use service_kit::{Pool, migrate, pool};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::beside::Beside;
use crate::config::Config;
use crate::control::samples::{self, Samples};
use crate::heard::{Changes, ConsoleReactions, KeptHere, subscriptions};
use crate::http::{AppState, LIVE, routes, url_of};
use crate::pages::Pages;
use crate::services::Services;
use crate::sign_in::Issuer;
use crate::{NAME, migrations};

/// How long what was heard is kept.
pub(crate) const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub struct App {
    server: HttpServer,
    pool: Pool,
    consumer: Consumer<ConsoleReactions, KeptHere>,
    issuer: Option<Issuer>,
    samples: Samples,
    services: Services,
    listening: CancellationToken,
}

/// How long rows are kept.
pub fn times_to_live() -> Vec<TimeToLive> {
    vec![
        TimeToLive::new("events", "id", "heard_at", KEPT),
        // One that goes on stays, however long nothing is heard of it: somebody must look.
        TimeToLive::new("orders", "id", "last_event_at", KEPT).only("ended_at is not null"),
        TimeToLive::new("checkouts", "id", "expires_at", Duration::from_secs(60 * 60)),
        TimeToLive::new("sessions", "id", "expires_at", Duration::from_secs(60 * 60)),
    ]
    .into_iter()
    .chain([service_kit::auth::time_to_live()])
    .chain(service_kit::dead_letters::times_to_live())
    .collect()
}

impl App {
    /// Migrates, connects and binds. Nothing is heard before [`App::run_until`].
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        let changes = Changes::default();
        let reactions = Arc::new(ConsoleReactions::new(changes.clone()));
        let heard = ConsumerConfig::new(NAME, &config.kafka);
        let consumer = Consumer::new(heard, subscriptions(), pool.clone(), reactions, KeptHere);
        let issuer = Issuer::new(&config.auth, config.client_id, config.issuer_internal)?;
        let listening = CancellationToken::new();
        let (services, samples) = (Services::new(config.services)?, Samples::default());
        let (addr, console) = (config.http.addr, config.console);
        // A port that is taken by chance is known once it is bound.
        let url = Arc::new(std::sync::OnceLock::new());
        let state = AppState {
            pool: pool.of(Share::Requests),
            pages: Arc::new(Pages::new().context("the pages' templates can't be parsed")?),
            services: services.clone(),
            beside: Beside::new(config.beside)?,
            traces: config.traces,
            samples: samples.clone(),
            issuer: issuer.clone(),
            url: Arc::clone(&url),
            is_sandbox: config.is_sandbox,
            proxies: config.http.rate_limit.proxies.clone(),
            changes,
            live: Arc::new(Semaphore::new(LIVE)),
            stop: listening.clone(),
        };
        let ready = Readiness::of(&pool, &consumer.handle());
        // Whoever comes here has a cookie, which the pages look at; tokens are for the services.
        let guard = Guard::for_everybody();
        let server = http::bind(NAME, config.http, ready, guard, listening.clone(), move |routes_of| {
            routes(routes_of, &state);
        })?;
        url.get_or_init(|| url_of(console.as_ref(), addr, server.port()));
        Ok(Self { server, pool, consumer, issuer, samples, services, listening })
    }

    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// Serves until told to stop, or until a part ends by itself, which none should. Requests stop first, then what is heard.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Self { server, pool, consumer, issuer, samples, services, listening } = self;
        let mut tasks = Tasks::new(shutdown, listening.clone());
        tasks.run(server.run());
        tasks.run(samples::run_stuck(samples.clone(), services.clone(), listening.clone()));
        tasks.run(samples::run(samples, services, pool.clone(), listening.clone()));
        if let Some(issuer) = issuer {
            tasks.run(issuer.run(listening));
        }
        let hearing = tasks.next_stage();
        tasks.run(consumer.run(hearing.clone()));
        tasks.run(housekeeping::run(pool.clone(), times_to_live(), hearing));
        let ended = tasks.until_ended().await;
        pool.close();
        ended
    }
}
