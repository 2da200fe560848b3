//! Wiring: database, HTTP, one token that ends both.

use anyhow::Context;
use service_kit::auth::Guard;
use service_kit::external_calls::Worker;
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::{Pool, migrate, pool};
use tokio_util::sync::CancellationToken;

use crate::http::{AppState, routes};
use crate::webhooks::Deliveries;
use crate::{Config, migrations, store};

/// How many webhooks are on their way at the same time, at most.
const DELIVERIES_AT_ONCE: usize = 8;

pub struct App {
    server: HttpServer,
    worker: Option<Worker<Deliveries>>,
    pool: Pool,
    /// Stops the server; cancelled by [`App::run_until`].
    stop: CancellationToken,
}

impl App {
    /// Migrates, connects and binds.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        store::ask_nobody(&mut *pool.get().await?).await?;
        let asked = pool.clone();
        let ready = Readiness::default().and_told("database", move || {
            let pool = asked.clone();
            async move { pool::takes_writes(&pool).await }
        });
        let stop = CancellationToken::new();
        let worker = match config.webhooks {
            Some(webhooks) => {
                let deliveries = Deliveries::new(pool.of(pool::Share::Workers), webhooks)?;
                Some(Worker::new("webhooks", deliveries, DELIVERIES_AT_ONCE))
            }
            None => None,
        };
        let webhooks = worker.as_ref().map(Worker::nudge);
        let state = AppState { pool: pool.of(pool::Share::Requests), shutdown: stop.clone(), webhooks };
        let server = http::bind(
            "sandbox-gateway",
            config.http,
            ready,
            Guard::for_everybody(),
            stop.clone(),
            move |routes_of| {
                routes(routes_of, &state);
            },
        )?;
        Ok(Self { server, worker, pool, stop })
    }

    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            shutdown.cancelled().await;
            stop.cancel();
        });
        let telling = self.worker.map(|worker| tokio::spawn(worker.run(self.stop.clone())));
        let served = self.server.run().await.context("serving HTTP");
        if let Some(telling) = telling {
            telling.await.context("delivering webhooks")?;
        }
        self.pool.close();
        served
    }
}
