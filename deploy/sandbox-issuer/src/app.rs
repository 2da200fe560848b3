//! Wiring: database, HTTP, housekeeping, one token that ends all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service_kit::auth::Guard;
use service_kit::housekeeping::{self, TimeToLive};
use service_kit::http::{self, HttpServer, Readiness};
use service_kit::{Pool, migrate, pool};
use tokio_util::sync::CancellationToken;

use crate::http::{AppState, Pages, WARNING, routes};
use crate::passwords::Passwords;
use crate::tokens::Issuer;
use crate::{Clock, Config, accounts, keys, migrations};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub struct App {
    server: HttpServer,
    pool: Pool,
    issuer: Issuer,
    /// Stops the server; cancelled by [`App::run_until`].
    stop: CancellationToken,
}

/// What is over is deleted; a code a while later, so that one that comes again is known.
pub fn rules() -> Vec<TimeToLive> {
    vec![
        TimeToLive::new("authorization_codes", "hash", "expires_at", HOUR),
        TimeToLive::new("sessions", "id", "expires_at", HOUR),
        TimeToLive::new("attempts", "key", "free_at", HOUR),
    ]
}

impl App {
    /// Migrates, connects and binds.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        Self::build_at(config, Clock::default()).await
    }

    /// Like [`App::build`], with a clock of one's own.
    pub async fn build_at(config: Config, clock: Clock) -> anyhow::Result<Self> {
        migrate::migrate(&config.database.url, &migrations()).await?;
        let pool = pool::open(&config.database).await?;
        let passwords = Passwords::new().await.context("hashing a password")?;
        {
            let mut conn = pool.get().await?;
            accounts::welcome(&mut conn, &passwords, clock.now()).await?;
            keys::current(&mut conn, clock.now()).await?;
        }
        let asked = pool.clone();
        let ready = Readiness::default().and_told("database", move || {
            let pool = asked.clone();
            async move { pool::takes_writes(&pool).await }
        });
        let (addr, stop) = (config.http.addr, CancellationToken::new());
        let issuer = Issuer::new(config.issuer, config.audience);
        let pages = Arc::new(Pages::new().context("the pages")?);
        let requests = pool.of(pool::Share::Requests);
        let proxies = config.http.rate_limit.proxies.clone();
        let state = AppState { pool: requests, issuer: issuer.clone(), passwords, pages, proxies, clock };
        // whoever comes here has no token yet
        let guard = Guard::for_everybody();
        let server = http::bind("sandbox-issuer", config.http, ready, guard, stop.clone(), move |routes_of| {
            routes(routes_of, &state);
        })?;
        issuer.name_if_unnamed(|| format!("http://{}", SocketAddr::new(addr.ip(), server.port())));
        tracing::warn!(issuer = issuer.name(), "{WARNING}");
        Ok(Self { server, pool, issuer, stop })
    }

    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// What services take for their `AUTH_ISSUER`.
    pub fn issuer(&self) -> &str {
        self.issuer.name()
    }

    pub async fn run_until(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        tokio::spawn(async move {
            shutdown.cancelled().await;
            stop.cancel();
        });
        let kept = tokio::spawn(housekeeping::run(self.pool.clone(), rules(), self.stop.clone()));
        let served = self.server.run().await.context("serving HTTP");
        self.stop.cancel();
        kept.await.context("housekeeping")?;
        self.pool.close();
        served
    }
}
