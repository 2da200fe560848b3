//! A primary and a standby that take turns: when the primary dies the standby is promoted, and gets a standby of its own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use quadrille_servers::{Durability, Link, Postgres, port, postgres};
use service_kit::pool;
use tokio::time::sleep;

use super::Commits;

/// What each standby calls itself, and the primary waits for.
const STANDBY: &str = "next";
/// Below the ports that systems give to connections, so that nobody else gets one while its server is away.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

pub(super) struct Servers {
    folder: PathBuf,
    settings: Vec<String>,
    primary: Postgres,
    standby: Postgres,
    /// Carries the WAL to the standby.
    link: Link,
    /// How many servers there have been.
    made: usize,
}

impl Servers {
    /// Both, once the standby is synchronous.
    pub async fn start(folder: &Path, commits: Commits) -> anyhow::Result<Self> {
        let settings = vec![
            format!("synchronous_standby_names={STANDBY}"),
            format!("synchronous_commit={}", commits.setting()),
            "wal_keep_size=256MB".to_owned(),
        ];
        let told: Vec<&str> = settings.iter().map(String::as_str).collect();
        let primary = Postgres::start_with(&options(folder, 1, free_port()?), &told).await?;
        let (standby, link) = standby_of(&primary, &options(folder, 2, free_port()?), &told).await?;
        Ok(Self { folder: folder.to_owned(), settings, primary, standby, link, made: 2 })
    }

    /// The URL with both hosts, of which the one that takes writes is meant.
    pub fn url(&self) -> String {
        let (one, other) = (self.primary.port(), self.standby.port());
        let url = self.primary.url("postgres");
        let several = url.replace(&format!("127.0.0.1:{one}"), &format!("127.0.0.1:{one},127.0.0.1:{other}"));
        format!("{several}?target_session_attrs=read-write")
    }

    /// Nothing more reaches the standby.
    pub fn hold(&self) {
        self.link.hold();
    }

    /// The primary dies, the standby is promoted after a while, and a new standby takes the place of the dead.
    pub async fn fail_over(self, after: Duration) -> anyhow::Result<(Self, Instant)> {
        let Self { folder, settings, primary, standby, link, made } = self;
        let freed = primary.port();
        primary.kill().await?;
        let died = Instant::now();
        sleep(after).await;
        // What lies in the link was never received.
        drop(link);
        standby.promote().await?;
        let (primary, made) = (standby, made + 1);
        let told: Vec<&str> = settings.iter().map(String::as_str).collect();
        let (standby, link) = standby_of(&primary, &options(&folder, made, freed), &told).await?;
        std::fs::remove_dir_all(folder.join(format!("postgres-{}", made - 2))).ok(); // only to spare the disk
        Ok((Self { folder, settings, primary, standby, link, made }, died))
    }

    pub async fn stop(self) -> anyhow::Result<()> {
        let patience = Duration::from_secs(10);
        self.standby.stop(patience).await?;
        self.primary.stop(patience).await
    }
}

fn options(folder: &Path, number: usize, port: u16) -> postgres::Options {
    let folder = folder.join(format!("postgres-{number}"));
    postgres::Options { folder, port: Some(port), durability: Durability::Real }
}

/// A standby that the primary has begun to wait for.
async fn standby_of(
    primary: &Postgres,
    options: &postgres::Options,
    settings: &[&str],
) -> anyhow::Result<(Postgres, Link)> {
    let link = Link::to(primary.port()).await?;
    let standby = primary.standby(options, STANDBY, link.port(), settings).await?;
    let mut conn = pool::connect(&primary.url("postgres")).await.context("the primary")?;
    let until = Instant::now() + Duration::from_secs(60);
    let asked = "select from pg_stat_replication where sync_state = 'sync'";
    while diesel_async::RunQueryDsl::execute(diesel::sql_query(asked), &mut conn).await? == 0 {
        if Instant::now() >= until {
            bail!(
                "the standby at {} is not synchronous after a minute; its log is {}",
                standby.port(),
                standby.log().display()
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok((standby, link))
}

fn free_port() -> anyhow::Result<u16> {
    (0..100)
        .find_map(|_| port::claim(Some(rand::random_range(PORTS)), "PostgreSQL").ok())
        .context("no port from 20000 to 30000 is free")
}
