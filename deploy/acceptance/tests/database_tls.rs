//! Every program that has a database runs on a PostgreSQL that takes TLS alone, with a CA of the test's own, and believes
//! no other server.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection;
use quadrille_acceptance::program;
use quadrille_servers::{Durability, Postgres, port, postgres};
use serde_json::Value;
use service_kit::pool;
use service_kit::testing::{Authority, eventually, kafka_bootstrap, rows};

const SOON: Duration = Duration::from_secs(60);
const SERVICES: [&str; 6] =
    ["order-svc", "stock-svc", "payment-svc", "notification-svc", "sandbox-gateway", "sandbox-issuer"];

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

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, host: &str, database: &str, file: &str) -> String {
        let (port, file) = (self.server.port(), self.file(file));
        let verified = format!("sslmode=verify-full&sslrootcert={}", file.display());
        format!("postgres://postgres:hunter2@{host}:{port}/{database}?{verified}")
    }
}

fn run(service: &str, url: &str, address: &str) -> Command {
    let (mut command, kafka) = (Command::new(program("quadrille").unwrap()), kafka_bootstrap());
    let variables = [
        ("DATABASE_URL", url),
        ("OUTBOX_RELAY_DATABASES", url),
        ("KAFKA_BOOTSTRAP_SERVERS", kafka.as_str()),
        ("HTTP_ADDR", address),
        ("METRICS_ADDR", address),
        ("AUTH", "off"),
        ("PAYMENT_GATEWAY_KEY", "sk_test"),
        ("MAIL_TRANSPORT", "smtp://127.0.0.1:1"),
        ("MAIL_FROM", "shop@example.com"),
    ];
    command.args(["run", service]).env_clear().envs(variables).stderr(Stdio::piped());
    command
}

/// Is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What `/readyz` says of each part.
async fn checks(port: u16) -> Option<Value> {
    let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await.ok()?;
    answer.json::<Value>().await.ok().map(|mut answer| answer["checks"].take())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_and_the_relay_run_on_a_postgresql_that_takes_tls_alone() {
    let secured = Secured::start().await;
    let mut admin = pool::connect(&secured.url("localhost", "postgres", "ca.pem")).await.unwrap();
    for service in [&SERVICES[..], &["outbox-relay"]].concat() {
        let database = if service == "outbox-relay" { "order_svc".to_owned() } else { service.replace('-', "_") };
        if service != "outbox-relay" {
            admin.batch_execute(&format!("create database {database}")).await.unwrap();
        }
        let port = port::claim(None, service).unwrap();
        let mut command = run(service, &secured.url("localhost", &database, "ca.pem"), &format!("127.0.0.1:{port}"));
        let _running = Running(command.stderr(Stdio::null()).spawn().unwrap());
        // The broker's parts are as well as the tests' Kafka has topics.
        let parts = ["database", "relay", "relays"];
        eventually(&format!("{service} and its relay are well"), SOON, async || {
            let Some(checks) = checks(port).await else { return false };
            let well = |part: &str| checks[part].is_null() || checks[part] == "ok";
            checks.is_object() && parts.iter().all(|part| well(part))
        })
        .await;
        let plain = format!(
            "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where datname = '{database}' and not ssl"
        );
        let encrypted = plain.replace("not ssl", "ssl");
        assert_eq!(rows::<i64>(&mut admin, &plain).await, [0], "{service}");
        assert!(rows::<i64>(&mut admin, &encrypted).await[0] > 0, "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_ca_and_a_wrong_host_name_end_each_service_at_once_with_one_line() {
    let secured = Secured::start().await;
    let missing = format!("its sslrootcert {} can't be read", secured.file("missing.pem").display());
    for service in SERVICES {
        for (host, file, words) in [
            ("localhost", "stranger.pem", ["localhost:", "sslrootcert must be the file of the CA"]),
            ("127.0.0.1", "ca.pem", ["not valid for name \"127.0.0.1\"", "name the host as its certificate does"]),
            ("localhost", "missing.pem", ["DATABASE_URL is refused", &missing]),
        ] {
            let mut command = run(service, &secured.url(host, "postgres", file), "127.0.0.1:0");
            let began = Instant::now();
            let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
            assert!(!output.status.success() && began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
            let said = String::from_utf8(output.stderr).unwrap();
            let lines: Vec<_> = said.lines().filter(|line| !line.starts_with('{')).collect();
            assert_eq!(lines.len(), 1, "{said}");
            let line = lines[0];
            assert!(line.starts_with(&format!("{service}: ")) && line.contains("DATABASE_URL"), "{line}");
            assert!(words.iter().all(|word| line.contains(word)) && !said.contains("hunter2"), "{words:?}: {said}");
        }
    }
}
