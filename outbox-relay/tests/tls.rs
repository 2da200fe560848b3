//! The relay on a PostgreSQL that takes TLS alone, with a CA of the test's own.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use outbox_relay::{Relay, State};
use quadrille_servers::{Durability, Postgres, postgres};
use secrecy::SecretString;
use service_kit::config::DatabaseConfig;
use service_kit::testing::{Authority, TestDb, eventually};
use service_kit::{migrate, pool};
use support::{SOON, commit, first_appearances, holds, read, relay_to_tests_kafka, row, topic};
use tokio_util::sync::CancellationToken;

struct Secured {
    server: Postgres,
    folder: tempfile::TempDir,
}

impl Secured {
    /// Beside it are the files `ca.pem`, of the authority that it has its certificate from, and `stranger.pem`, of another.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let options =
            postgres::Options { folder: folder.path().join("postgres"), port: None, durability: Durability::Tests };
        let server = Postgres::start(&options).await.unwrap();
        let authority = Authority::new("the shop's authority");
        authority.certificate_in(folder.path().join("ca.pem"));
        Authority::new("another authority").certificate_in(folder.path().join("stranger.pem"));
        let (key, certificate) = authority.vouch_for("localhost");
        server.secure(&certificate, &key, "hostssl all all 127.0.0.1/32 trust").await.unwrap();
        Self { server, folder }
    }

    fn url(&self, host: &str, file: &str) -> String {
        let (port, file) = (self.server.port(), self.folder.path().join(file));
        let file = file.display();
        format!("postgres://postgres:hunter2@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={file}")
    }

    /// The one database of this server, with an outbox.
    async fn db(&self) -> TestDb {
        let url = self.url("localhost", "ca.pem");
        let secret = SecretString::from(url.clone());
        migrate::migrate(&secret, &[outbox_relay::MIGRATIONS]).await.unwrap();
        let pool = pool::open(&DatabaseConfig { url: secret, pool_size: 4 }).await.unwrap();
        TestDb { pool, url }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_publishes_and_hears_nudges_on_a_server_that_takes_tls_alone() {
    let secured = Secured::start().await;
    let (db, topic, stop) = (secured.db().await, topic(&[]).await, CancellationToken::new());
    let _running = stop.clone().drop_guard();
    let mut slow = relay_to_tests_kafka(&db);
    slow.idle = Duration::from_secs(600); // what is not told of by a nudge is not read in time
    let leader = Relay::to_kafka(slow);
    let leads = leader.health();
    tokio::spawn(leader.run(stop.clone()));
    eventually("one leads", SOON, async || leads.state() == State::Leading).await;
    let standby = Relay::to_kafka(relay_to_tests_kafka(&db));
    let (health, nudge) = (standby.health(), standby.nudge());
    tokio::spawn(standby.run(stop));
    eventually("the other stands by", SOON, async || health.state() == State::StandingBy).await;

    for number in 0..5 {
        commit(&db, vec![row(&topic, "k", number)]).await;
        nudge.nudge();
        eventually("it is published", SOON, async || db.count("outbox").await == 0).await;
    }
    assert_eq!(first_appearances(&read(&topic).await)["k"], [0, 1, 2, 3, 4]);
    let encrypted = "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid)
        where backend_type = 'client backend'";
    assert!(holds(&db, &format!("({encrypted})")).await);
}

/// The line says what is wrong and how to mend it, and no password.
fn tells(line: &str, words: &[&str]) {
    assert!(words.iter().all(|word| line.contains(word)) && !line.contains("hunter2"), "{words:?} is not in: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_tells_at_once_which_certificate_it_does_not_believe() {
    let secured = Secured::start().await;
    let db = secured.db().await;
    let stranger = secured.url("localhost", "stranger.pem");
    let missing = secured.url("localhost", "missing.pem");
    for (url, words) in [
        (&stranger, ["invalid peer certificate", "sslrootcert must be the file of the CA"]),
        (&secured.url("127.0.0.1", "ca.pem"), ["not valid for name \"127.0.0.1\"", "name the host"]),
        (&missing, ["missing.pem", "can't be read: No such file"]),
    ] {
        let mut config = relay_to_tests_kafka(&db);
        config.database_url = SecretString::from(url.clone());
        let began = Instant::now();
        let error = Relay::to_kafka(config).run_once().await.unwrap_err();
        assert!(began.elapsed() < SOON);
        tells(&format!("{error:#}"), &["DATABASE_URL (or OUTBOX_RELAY_DATABASES)", words[0], words[1]]);
    }
    let said = |url: String, arguments: &'static [&'static str]| async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outbox-relay"));
        command.args(arguments).env_clear().env("OUTBOX_RELAY_DATABASES", url);
        command.env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1").env("METRICS_ADDR", "127.0.0.1:0");
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let place = format!("localhost:{}/postgres", secured.server.port());
    tells(&said(stranger, &["parked", "list"]).await, &[&place, "sslrootcert must be the file of the CA"]);
    tells(&said(missing, &[]).await, &["OUTBOX_RELAY_DATABASES is refused", "missing.pem can't be read"]);
}
