//! A PostgreSQL of a test's own.

use std::os::unix::fs::PermissionsExt;

use diesel_async::{AsyncPgConnection, RunQueryDsl};
use nix::sys::signal::Signal;
use quadrille_servers::{Durability, Postgres, postgres};
use service_kit::pool;
use service_kit::testing::Authority;

/// A server that a test may do anything to.
pub struct Server {
    pub postgres: Postgres,
    _folder: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let options = postgres::Options { folder: folder.path().join("pg"), port: None, durability: Durability::Tests };
        Self { postgres: Postgres::start(&options).await.unwrap(), _folder: folder }
    }

    /// It has a certificate of this authority for this name, and lets in whom this line of `pg_hba.conf` lets in.
    pub async fn secured(authority: &Authority, name: &str, lets_in: &str) -> Self {
        let server = Self::start().await;
        let (key, certificate) = authority.vouch_for(name);
        server.postgres.secure(&certificate, &key, lets_in).await.unwrap();
        server
    }

    pub fn url(&self) -> String {
        self.postgres.url("postgres")
    }

    pub async fn operator(&self) -> AsyncPgConnection {
        let url = format!("{}?options=-c%20default_transaction_read_only%3Doff", self.url());
        pool::connect(&url).await.unwrap()
    }

    /// As a failover or an administrator does, under the connections that are there.
    pub async fn take_writes(&self, takes: bool) {
        let mut operator = self.operator().await;
        let on = if takes { "off" } else { "on" };
        for statement in
            [format!("alter system set default_transaction_read_only = {on}"), "select pg_reload_conf()".into()]
        {
            diesel::sql_query(statement).execute(&mut operator).await.unwrap();
        }
    }

    /// Its processes stand still without closing anything: whoever accepts connections, and these backends.
    pub fn freeze(&self, backends: &[i32]) {
        self.signal(backends, Signal::SIGSTOP);
    }

    pub fn thaw(&self, backends: &[i32]) {
        self.signal(backends, Signal::SIGCONT);
    }

    fn signal(&self, backends: &[i32], signal: Signal) {
        for backend in backends {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(*backend), signal).unwrap();
        }
        self.postgres.identity().signal(signal);
    }
}
