//! A Kafka that knows its clients, with the users, the listeners and the authorizer of docker-compose.yml: each principal may do
//! what is its own and nothing else, and who lacks a right waits for it and says so.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use outbox_relay::{Health, NewRow, Relay, RelayConfig, State, append_all};
use quadrille::cluster::Cluster;
use quadrille::principals::{self, Acl, Operation, Resource};
use quadrille::service::Service;
use quadrille::topics;
use quadrille_acceptance::forgery::{self, Doors};
use quadrille_acceptance::program;
use quadrille_servers::{Durability, Kafka, kafka, port};
use secrecy::SecretString;
use serde_json::Value;
use service_kit::config::Reader;
use service_kit::kafka::Brokers;
use service_kit::testing::{self, TestDb, eventually};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(60);

/// The lines of docker-compose.yml's broker that begin with `KAFKA_`, as its image makes properties of them.
fn properties_of_compose() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docker-compose.yml");
    let text = std::fs::read_to_string(file).unwrap();
    let service = text.split_once("\n  kafka:\n").unwrap().1.split_once("\n    volumes:").unwrap().0;
    let (mut found, mut anchors, mut last) = (BTreeMap::<String, String>::new(), BTreeMap::new(), String::new());
    for line in service.split_once("    environment:\n").unwrap().1.lines() {
        if let Some(more) = line.strip_prefix("        ") {
            let value: &mut String = found.get_mut(&last).unwrap();
            *value = format!("{value} {more}").trim().to_owned();
        } else if let Some((name, value)) = line.trim().split_once(": ").filter(|_| !line.trim().starts_with('#')) {
            name.clone_into(&mut last);
            let value = match value.split_once(' ') {
                Some((anchor, ">-")) if anchor.starts_with('&') => {
                    anchors.insert(anchor.replace('&', "*"), name.to_owned());
                    String::new()
                }
                _ => anchors.get(value).map_or_else(|| value.trim_matches('"').to_owned(), |name| found[name].clone()),
            };
            found.insert(last.clone(), value);
        }
    }
    let property = |(name, value): (String, String)| {
        Some((name.strip_prefix("KAFKA_")?.replace('_', ".").to_lowercase(), with_defaults(&value)))
    };
    found.into_iter().filter_map(property).collect()
}

/// `${NAME:-default}` is its default.
fn with_defaults(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap();
    format!("{before}{}{}", inside.split_once(":-").unwrap().1, with_defaults(after))
}

/// The node, with its topics.
struct Broker {
    node: Kafka,
    doors: Doors,
    jaas: String,
    folder: tempfile::TempDir,
}

impl Broker {
    async fn start() -> Self {
        let claim = || port::claim(None, "Kafka").unwrap();
        let ports =
            BTreeMap::from([("INTERNAL", claim()), ("HOST", claim()), ("DEBUGGER", claim()), ("CONTROLLER", claim())]);
        let mut properties = properties_of_compose();
        let at = |name: &str| format!("{name}://127.0.0.1:{}", ports[name]);
        let listeners = properties["listeners"].split(',').map(|one| at(one.split_once(':').unwrap().0));
        let listeners: Vec<_> = listeners.collect();
        let advertised: Vec<_> = listeners.iter().filter(|one| !one.starts_with("CONTROLLER")).cloned().collect();
        properties.insert("listeners".to_owned(), listeners.join(","));
        properties.insert("advertised.listeners".to_owned(), advertised.join(","));
        properties.insert("controller.quorum.voters".to_owned(), format!("1@127.0.0.1:{}", ports["CONTROLLER"]));
        for of_the_image in ["log.dirs", "heap.opts"] {
            properties.remove(of_the_image);
        }
        let folder = tempfile::tempdir().unwrap();
        let options = kafka::Options {
            folder: folder.path().join("kafka"),
            port: Some(ports["HOST"]),
            durability: Durability::Tests,
            jars: None,
        };
        let lines: String = properties.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let node = Kafka::start_with_properties(&options, &lines).await.unwrap();
        let [named, anonymous] = ["DEBUGGER", "HOST"].map(|name| format!("127.0.0.1:{}", ports[name]));
        let jaas = properties["listener.name.debugger.plain.sasl.jaas.config"].clone();
        let broker = Self { node, doors: Doors { named, anonymous }, jaas, folder };
        topics::ensure(&broker.admin(), &topics::all(), 1, SOON).await.unwrap();
        broker
    }

    /// What a program is told that logs in as this user.
    fn variables(&self, user: &str) -> [(&'static str, String); 5] {
        [
            ("KAFKA_BOOTSTRAP_SERVERS", self.doors.named.clone()),
            ("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext".to_owned()),
            ("KAFKA_SASL_MECHANISM", "PLAIN".to_owned()),
            ("KAFKA_SASL_USERNAME", user.to_owned()),
            ("KAFKA_SASL_PASSWORD", forgery::password_of(&self.jaas, user).unwrap()),
        ]
    }

    fn brokers(&self, user: &str) -> Brokers {
        Reader::from_pairs(self.variables(user)).whole(Brokers::read).unwrap()
    }

    fn admin(&self) -> Cluster {
        Cluster(self.brokers("admin"))
    }

    /// Gives the rights, but for those that are named.
    async fn give_all_but(&self, lacking: &[Acl]) -> principals::Changed {
        let mut rights = principals::all(true);
        rights.retain(|right| !lacking.contains(right));
        principals::create(&self.admin(), &rights).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_principal_writes_its_own_topics_alone() {
    let broker = Broker::start().await;
    // Somebody once got more than its own.
    let mut too_much = principals::all(true);
    let forger = Acl::allow("stock-relay", Operation::WRITE, Resource::TOPIC, "payments.v1");
    let strangers = Acl::allow("a-stranger", Operation::READ, Resource::TOPIC, "orders.v1");
    too_much.extend([forger.clone(), strangers.clone()]);
    principals::create(&broker.admin(), &too_much).await.unwrap();
    let users = forgery::principals(&broker.jaas);
    let found: Vec<_> = users.iter().filter(|user| user.name == "stock-relay").cloned().collect();
    let found = forgery::try_everything(&broker.doors, &found, false).await.unwrap_err();
    assert!(format!("{found:#}").ends_with("writing payments.v1 is allowed"), "{found:#}");
    let changed = broker.give_all_but(&[]).await;
    assert_eq!((changed.given, changed.taken), (Vec::new(), vec![forger]), "others' principals are left alone");
    let again = broker.give_all_but(&[]).await;
    assert_eq!((again.given.len(), again.taken.len(), again.there), (0, 0, principals::all(true).len()));

    let counts = forgery::try_everything(&broker.doors, &users, true).await.unwrap();
    assert_eq!(users.len(), 10, "four services, their relays, the tools, and whoever gives no name");
    let topics = topics::all().len();
    assert_eq!(counts.writes, (topics, 10 * topics - topics), "each topic is one relay's");
    let heard: usize = Service::WITH_OUTBOX.into_iter().map(|service| principals::heard(service).len()).sum();
    assert_eq!(
        counts.reads,
        (heard + 2 * topics, 8 * topics - heard),
        "a service what it hears, the tools and nobody all"
    );
    assert_eq!(counts.joins, (4, 36), "each group is one service's");
    let refused = topics::ensure(&Cluster(broker.brokers("order-relay")), &topics::all(), 1, SOON).await.unwrap_err();
    assert!(refused.to_string().contains("principal order-relay may not make topics"), "{refused:#}");
    let denied = principals::create(&Cluster(broker.brokers("reader")), &too_much).await.unwrap_err();
    assert!(format!("{denied:#}").contains("may not change rights"), "{denied:#}");
    broker.node.stop(SOON).await.unwrap();
}

fn row(number: usize) -> NewRow {
    NewRow {
        event_id: Uuid::now_v7(),
        topic: "orders.v1".to_owned(),
        key: "a".to_owned(),
        headers: Vec::new(),
        payload: number.to_string().into_bytes(),
    }
}

/// Waits until the relay says that it may not write, and by what that is mended.
async fn says_what_it_lacks(health: &Health) {
    let wanted = "Kafka's principal order-relay may not write orders.v1: look at KAFKA_SASL_USERNAME, and at the principal's ACLs";
    eventually("it says so", SOON, async || health.state() == State::Outage(wanted.to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_relay_without_a_right_waits_for_it_parks_nothing_and_says_so() {
    let broker = Broker::start().await;
    let db = TestDb::new(&order_svc::migrations()).await;
    append_all(&*db.conn().await, (0..20).map(row).collect()).await.unwrap();
    let config = RelayConfig::new("order-svc", SecretString::from(db.url.clone()), broker.brokers("order-relay"));
    let relay = Relay::to_kafka(config);
    let health = relay.health();
    let running = testing::Running::start(|stop| relay.run(stop));
    // It may write nothing at all.
    says_what_it_lacks(&health).await;
    // It may see the topic, and others it may write.
    let write = Acl::allow("order-relay", Operation::WRITE, Resource::TOPIC, "orders.v1");
    broker.give_all_but(std::slice::from_ref(&write)).await;
    append_all(&*db.conn().await, vec![row(20)]).await.unwrap();
    says_what_it_lacks(&health).await;
    assert_eq!((db.count("outbox").await, db.count("outbox_parked").await), (21, 0));
    broker.give_all_but(&[]).await;
    eventually("all is published", SOON, async || db.count("outbox").await == 0).await;
    eventually("it is well", SOON, async || health.well()).await;
    assert_eq!(db.count("outbox_parked").await, 0);
    running.end().await;
    broker.node.stop(SOON).await.unwrap();
}

/// Is killed when it is dropped.
struct Running {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Running {
    fn start(broker: &Broker, db: &TestDb) -> Self {
        let (port, log) = (port::claim(None, "order-svc").unwrap(), broker.folder.path().join("order-svc.log"));
        let mut command = Command::new(program("quadrille").unwrap());
        command.args(["run", "order-svc"]).env_clear().envs(broker.variables("order-svc"));
        command.env("DATABASE_URL", &db.url).env("HTTP_ADDR", format!("127.0.0.1:{port}"));
        command.env("AUTH", "off").env("RELAY", "external");
        let out = File::create(&log).unwrap();
        let child = command.stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap();
        Self { child, port, log }
    }

    /// How often it has said so.
    fn said(&self, words: &str) -> usize {
        std::fs::read_to_string(&self.log).unwrap().matches(words).count()
    }

    /// What `/readyz` says of the topics.
    async fn topics(&self) -> Option<Value> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/readyz", self.port)).await.ok()?;
        answer.json::<Value>().await.ok().map(|mut answer| answer["checks"]["topics"].take())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apache_kafka_a_service_without_a_right_waits_for_it_and_says_so() {
    let broker = Broker::start().await;
    let db = TestDb::new(&order_svc::migrations()).await;
    let mut service = Running::start(&broker, &db);
    eventually("it says which topics it may not read", SOON, async || {
        service
            .topics()
            .await
            .is_some_and(|said| said.to_string().contains("may not be read: ") && said.to_string().contains("stock.v1"))
    })
    .await;
    let topic =
        "Kafka's principal order-svc may not read stock.v1: look at KAFKA_SASL_USERNAME, and at the principal's ACLs";
    assert_eq!(service.said(topic), 1);
    eventually("it says that it may not join", SOON, async || {
        service.said("may not read as a member of the group order-svc: look at KAFKA_SASL_USERNAME") == 1
    })
    .await;
    broker.give_all_but(&[]).await;
    eventually("it reads", SOON, async || service.topics().await == Some("ok".into())).await;
    let stock = Acl::allow("order-svc", Operation::READ, Resource::TOPIC, "stock.v1");
    broker.give_all_but(&[stock]).await;
    eventually("it says that it may no longer read", SOON, async || service.said(topic) == 2).await;
    assert_eq!((db.count("dead_letters").await, db.count("parked_keys").await), (0, 0));
    assert!(service.child.try_wait().unwrap().is_none(), "it goes on");
    broker.give_all_but(&[]).await;
    broker.node.stop(SOON).await.unwrap();
}
