//! A Kafka that wants TLS and a user name, or a certificate: with the right variables everything works, and what is
//! wrong with them is told once, by their names, and ends the program.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use outbox_relay::{Headers, KafkaPublisher, OutboxRow, Publisher};
use quadrille_servers::kafka::{self, Secured};
use quadrille_servers::{Durability, Kafka};
use service_kit::config::Reader;
use service_kit::kafka::Brokers;
use service_kit::testing::{Authority, TestDb, eventually};

const SOON: Duration = Duration::from_secs(60);
const PASSWORD: &str = "hunter2";

type Variables = Vec<(&'static str, String)>;

/// The node, and the variables of a client that it lets in.
struct Cluster {
    node: Kafka,
    folder: tempfile::TempDir,
    ca: PathBuf,
}

impl Cluster {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("an authority");
        let ca = authority.certificate_in(folder.path().join("ca.pem"));
        let (key, certificate) = authority.vouch_for("127.0.0.1");
        let identity = folder.path().join("node.pem");
        fs::write(&identity, format!("{key}{certificate}")).unwrap();
        let (key, certificate) = authority.vouch_for("shop");
        fs::write(folder.path().join("shop.key"), key).unwrap();
        fs::write(folder.path().join("shop.pem"), certificate).unwrap();
        let secured = Secured { identity, ca: ca.clone(), user: "shop".to_owned(), password: PASSWORD.to_owned() };
        let options = kafka::Options {
            folder: folder.path().join("kafka"),
            port: None,
            durability: Durability::Tests,
            jars: None,
        };
        Self { node: Kafka::start_secured(&options, &secured).await.unwrap(), folder, ca }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn with_password(&self, mechanism: &str) -> Variables {
        vec![
            ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", self.node.secured().unwrap().sasl)),
            ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl".to_owned()),
            ("KAFKA_SASL_MECHANISM", mechanism.to_owned()),
            ("KAFKA_SASL_USERNAME", "shop".to_owned()),
            ("KAFKA_SASL_PASSWORD", PASSWORD.to_owned()),
            ("KAFKA_SSL_CA", self.ca.display().to_string()),
        ]
    }

    fn with_certificate(&self) -> Variables {
        vec![
            ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", self.node.secured().unwrap().mutual)),
            ("KAFKA_SECURITY_PROTOCOL", "ssl".to_owned()),
            ("KAFKA_SSL_CA", self.ca.display().to_string()),
            ("KAFKA_SSL_CERTIFICATE", self.file("shop.pem")),
            ("KAFKA_SSL_KEY", self.file("shop.key")),
        ]
    }
}

fn changed(mut variables: Variables, name: &'static str, value: &str) -> Variables {
    variables.retain(|(known, _)| *known != name);
    variables.push((name, value.to_owned()));
    variables
}

fn program(arguments: &[&str], variables: &Variables) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
    command.args(arguments).env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    command
}

async fn quadrille(arguments: &[&str], variables: &Variables) -> (bool, String, String) {
    let mut command = program(arguments, variables);
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// It fails within a bounded time, in a last line that has these words and no password.
async fn refused(tool: &str, variables: &Variables, words: &str) {
    let began = Instant::now();
    let (done, _, said) = quadrille(&[tool], variables).await;
    assert!(!done && began.elapsed() < Duration::from_secs(30), "{tool}: {said}");
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(words), "{words} is not in: {said}");
    assert!(said.lines().count() <= 3, "it repeats itself: {said}");
    assert!(!said.contains(PASSWORD) && !said.contains("wrong1"), "{said}");
}

async fn publish(variables: &Variables, key: &str) {
    let pairs = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let brokers = Reader::from_pairs(pairs).whole(Brokers::read).unwrap();
    let mut publisher = KafkaPublisher::new(&brokers, 10, 1 << 20);
    let (topic, payload) = ("orders.v1".to_owned(), b"over a way that is secured".to_vec());
    publisher.publish(&[OutboxRow { id: 1, topic, key: key.to_owned(), headers: Headers::default(), payload }]);
    let mut reports = Vec::new();
    tokio::time::timeout(SOON, publisher.reports(&mut reports)).await.unwrap();
    assert_eq!(reports.remove(0).outcome, Ok(()));
    publisher.withdraw(Duration::ZERO, &mut reports).await;
}

async fn round_trip(variables: &Variables, key: &str) {
    publish(variables, key).await;
    let (done, told, said) = quadrille(&["tail", "orders.v1", "--key", key, "--to-end"], variables).await;
    assert!(done && told.contains("over a way that is secured"), "{told}{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_with_the_right_variables_everything_works_and_what_is_wrong_is_named() {
    let cluster = Cluster::start().await;
    let (scram, plain, mutual) =
        (cluster.with_password("SCRAM-SHA-512"), cluster.with_password("PLAIN"), cluster.with_certificate());

    let (done, told, said) = quadrille(&["topics", "create"], &scram).await;
    assert!(done && told.contains("created orders.v1"), "{told}{said}");
    for (variables, key) in [(&scram, "scram"), (&plain, "plain"), (&mutual, "mutual")] {
        round_trip(variables, key).await;
        let (done, told, said) = quadrille(&["topics"], variables).await;
        assert!(done && told.contains("orders.v1"), "{told}{said}");
    }
    a_service_becomes_ready(&scram).await;

    let credentials = "look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD";
    refused("topics", &changed(scram.clone(), "KAFKA_SASL_PASSWORD", "wrong1"), credentials).await;
    refused("tail", &changed(scram.clone(), "KAFKA_SASL_PASSWORD", "wrong1"), credentials).await;
    refused("topics", &changed(plain, "KAFKA_SASL_USERNAME", "nobody"), credentials).await;
    let mechanism = changed(scram.clone(), "KAFKA_SASL_MECHANISM", "SCRAM-SHA-256");
    refused("topics", &mechanism, "look at KAFKA_SASL_MECHANISM").await;
    let stranger = Authority::new("an authority").certificate_in(cluster.folder.path().join("stranger.pem"));
    let ca = changed(scram.clone(), "KAFKA_SSL_CA", &stranger.display().to_string());
    refused("tail", &ca, "look at KAFKA_SSL_CA").await;
    let name = scram[0].1.replace("127.0.0.1", "localhost");
    let name = changed(scram.clone(), "KAFKA_BOOTSTRAP_SERVERS", &name);
    refused("topics", &name, "for the name in KAFKA_BOOTSTRAP_SERVERS").await;
    let certificate = ["KAFKA_SSL_CERTIFICATE", "KAFKA_SSL_KEY"];
    let without = mutual.into_iter().filter(|(name, _)| !certificate.contains(name)).collect();
    refused("topics", &without, "look at KAFKA_SSL_CERTIFICATE and KAFKA_SSL_KEY").await;
    refused("topics", &vec![scram[0].clone()], "look at KAFKA_SECURITY_PROTOCOL").await;
    let clear = changed(scram.clone(), "KAFKA_BOOTSTRAP_SERVERS", &cluster.node.bootstrap());
    refused("topics", &clear, "look at KAFKA_SECURITY_PROTOCOL").await;
    a_service_with_a_wrong_password_ends(&changed(scram, "KAFKA_SASL_PASSWORD", "wrong1")).await;
    cluster.node.stop(SOON).await.unwrap();
}

/// Its consumer and its relay speak with the brokers.
async fn a_service_becomes_ready(variables: &Variables) {
    let db = TestDb::new(&order_svc::migrations()).await;
    let port = quadrille_servers::port::claim(None, "order-svc").unwrap();
    let mut command = program(&["run", "order-svc"], variables);
    command.env("DATABASE_URL", &db.url).env("HTTP_ADDR", format!("127.0.0.1:{port}")).env("AUTH", "off");
    let mut service = command.stderr(Stdio::null()).spawn().unwrap();
    let asked = vec![("HTTP_ADDR", format!("127.0.0.1:{port}"))];
    eventually("it is ready", SOON, async || quadrille(&["healthcheck"], &asked).await.0).await;
    service.kill().unwrap();
    service.wait().unwrap();
}

async fn a_service_with_a_wrong_password_ends(variables: &Variables) {
    let db = TestDb::new(&order_svc::migrations()).await;
    let variables = changed(changed(variables.clone(), "DATABASE_URL", &db.url), "AUTH", "off");
    let (done, _, said) = quadrille(&["run", "order-svc"], &changed(variables, "HTTP_ADDR", "127.0.0.1:0")).await;
    let last = said.lines().last().unwrap_or_default();
    assert!(!done && last.starts_with("order-svc: Kafka at ") && !said.contains("wrong1"), "{said}");
    assert!(last.contains("look at KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"), "{said}");
}

#[test]
fn what_is_not_whole_is_told_before_anything_is_asked() {
    let said = |variables: &Variables| {
        let output = program(&["topics"], variables).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let lacking =
        vec![("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1".into()), ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl".into())];
    let (code, told) = said(&lacking);
    assert!(code == Some(78) && told.lines().count() == 1 && told.contains("KAFKA_SASL_PASSWORD is not set"), "{told}");
}
