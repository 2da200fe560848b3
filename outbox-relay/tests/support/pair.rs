//! A primary with an outbox, and a standby that receives its WAL over a link that a test can hold.

use std::os::unix::fs::PermissionsExt;

use quadrille_servers::{Durability, Link, Postgres, postgres};
use secrecy::SecretString;
use service_kit::config::DatabaseConfig;
use service_kit::migrate::migrate;
use service_kit::pool;
use service_kit::testing::{TestDb, eventually};

use super::SOON;

/// The standby's name.
const STANDBY: &str = "replica";

pub struct Pair {
    pub primary: Postgres,
    pub standby: Postgres,
    pub link: Link,
    /// The outbox's database: on the server that takes writes, of the two.
    pub db: TestDb,
    pub folder: tempfile::TempDir,
}

impl Pair {
    /// Both, with a synchronous standby that no commit waits for unless its session says so.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let options = |name: &str| {
            let folder = folder.path().join(name);
            postgres::Options { folder, port: None, durability: Durability::Tests }
        };
        let names = format!("synchronous_standby_names={STANDBY}");
        let settings = ["synchronous_commit=local", "wal_writer_delay=10s"];
        // A standby that becomes the primary has none of its own.
        let primary = Postgres::start_with(&options("primary"), &[&settings[..], &[&names]].concat()).await.unwrap();
        let link = Link::to(primary.port()).await.unwrap();
        let standby = primary.standby(&options("standby"), STANDBY, link.port(), &settings).await.unwrap();
        assert!(postgres::ensure_database(&primary.url("postgres"), "app").await.unwrap());
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
        let url = format!("postgres://postgres@{hosts}/app?target_session_attrs=read-write");
        migrate(&SecretString::from(url.clone()), &[outbox_relay::MIGRATIONS]).await.unwrap();
        let config = DatabaseConfig { url: SecretString::from(url.clone()), pool_size: 20 };
        let pair =
            Self { primary, standby, link, db: TestDb { pool: pool::open(&config).await.unwrap(), url }, folder };
        eventually("the standby is synchronous", SOON, async || {
            pair.db.count("pg_stat_replication where sync_state = 'sync'").await == 1
        })
        .await;
        pair
    }
}
