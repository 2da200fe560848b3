//! Wiring: database, HTTP, one token that ends both.

use anyhow::Context;
use service_kit::{
    Pool,
    http::{self, HttpServer, Readiness},
    migrate, pool,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    http::{AppState, routes},
    migrations,
};

/// The gateway, bound and ready to run.
pub struct App {
    server: HttpServer,
    pool: Pool,
    /// Stops the server; a child of nobody, cancelled by [`App::run_until`].
    stop: CancellationToken,
}

impl App {
    /// Migrates, connects and binds.
    ///
    /// # Errors
    /// The database stays away, a migration fails, the port is taken.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        let asked = pool.clone();
        let ready = Readiness::default().and("database", move || {
            let pool = asked.clone();
            async move { pool::answers(&pool).await }
        });
        let stop = CancellationToken::new();
        let state = AppState { pool: pool.clone(), shutdown: stop.clone() };
        let server = http::bind("sandbox-gateway", config.http, ready, stop.clone(), move |routes_of| {
            routes(routes_of, &state);
        })?;
        Ok(Self { server, pool, stop })
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// Serves until `shutdown` is cancelled.
    ///
    /// # Errors
    /// The server could not run.
    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            shutdown.cancelled().await;
            stop.cancel();
        });
        let served = self.server.run().await.context("serving HTTP");
        self.pool.close();
        served
    }
}
