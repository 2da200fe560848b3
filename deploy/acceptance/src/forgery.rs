//! Whether a broker refuses what is not a principal's: each tries to write and to read every topic, and to join every group.
//! Nothing is written by that, not even where it is allowed: what is sent is too large for any topic, which the broker says
//! only to whoever may write there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use quadrille::principals::{ANONYMOUS, READER, heard, relay_of, written};
use quadrille::service::Service;
use quadrille::topics;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// More than a topic takes, and less than a request may have.
const TOO_LARGE: usize = 1_200_000;
/// As whom nobody logs in here: these may do everything.
const ADMINISTRATORS: [&str; 2] = ["admin", "broker"];

/// Where a broker listens.
#[derive(Debug, Clone)]
pub struct Doors {
    /// For those who log in.
    pub named: String,
    /// For those who don't.
    pub anonymous: String,
}

/// Who logs in; without a password nobody does.
#[derive(Debug, Clone)]
pub struct Principal {
    pub name: String,
    pub password: Option<String>,
}

/// The principals that a broker knows by its `sasl.jaas.config`, and whoever gives no name, but no administrators.
pub fn principals(jaas: &str) -> Vec<Principal> {
    let users = jaas.split_whitespace().filter_map(|word| {
        let (name, password) = word.strip_prefix("user_")?.split_once("=\"")?;
        let password = Some(password.trim_end_matches(';').trim_end_matches('"').to_owned());
        Some(Principal { name: name.to_owned(), password })
    });
    let users = users.filter(|user| !ADMINISTRATORS.contains(&user.name.as_str()));
    users.chain([Principal { name: ANONYMOUS.to_owned(), password: None }]).collect()
}

/// The password of one of a broker's users.
pub fn password_of(jaas: &str, user: &str) -> Option<String> {
    let (_, rest) = jaas.split_once(&format!("user_{user}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// How often something was allowed, and how often it was refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub writes: (usize, usize),
    pub reads: (usize, usize),
    pub joins: (usize, usize),
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        let add = |own: &mut (usize, usize), other: (usize, usize)| *own = (own.0 + other.0, own.1 + other.1);
        add(&mut self.writes, other.writes);
        add(&mut self.reads, other.reads);
        add(&mut self.joins, other.joins);
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ((write, no_write), (read, no_read), (join, no_join)) = (self.writes, self.reads, self.joins);
        write!(
            f,
            "writing was refused {no_write} times and allowed {write} times, reading refused {no_read} and allowed {read}, \
             joining a group refused {no_join} and allowed {join}"
        )
    }
}

/// Has each principal try everything. Fails at the first that may do what it shouldn't, or may not do what it should. A
/// service's own group is joined only where it `joins`: it would take partitions from the service.
pub async fn try_everything(doors: &Doors, principals: &[Principal], joins: bool) -> anyhow::Result<Counts> {
    let mut trying = JoinSet::new();
    for principal in principals.iter().cloned() {
        let client = client(doors, &principal);
        trying.spawn(async move {
            let name = principal.name.clone();
            try_as(&principal, client, joins).await.with_context(|| format!("as {name}"))
        });
    }
    let mut counts = Counts::default();
    while let Some(tried) = trying.join_next().await {
        counts += tried??;
    }
    Ok(counts)
}

fn client(doors: &Doors, principal: &Principal) -> ClientConfig {
    let mut config = ClientConfig::new();
    match &principal.password {
        None => config.set("bootstrap.servers", &doors.anonymous),
        Some(password) => config
            .set("bootstrap.servers", &doors.named)
            .set("security.protocol", "sasl_plaintext")
            .set("sasl.mechanism", "PLAIN")
            .set("sasl.username", &principal.name)
            .set("sasl.password", password),
    };
    config.set_log_level(RDKafkaLogLevel::Emerg);
    config
}

/// What a principal should be able to do, by the services' own subscriptions and the topics' owners.
struct Expected {
    writes: BTreeSet<String>,
    reads: BTreeSet<String>,
    group: Option<&'static str>,
}

fn expected(name: &str) -> Expected {
    let (mut writes, mut reads, mut group) = (BTreeSet::new(), BTreeSet::new(), None);
    if [READER, ANONYMOUS].contains(&name) {
        reads.extend(topics::all().into_iter().map(|topic| topic.name));
    }
    for service in Service::WITH_OUTBOX {
        if name == service.name() {
            (reads, group) = (heard(service).into_iter().collect(), Some(service.name()));
        } else if name == relay_of(service) {
            writes.extend(written(service));
        }
    }
    Expected { writes, reads, group }
}

async fn try_as(principal: &Principal, client: ClientConfig, joins: bool) -> anyhow::Result<Counts> {
    let expected = expected(&principal.name);
    let mut counts = Counts::default();
    let producer: FutureProducer = client.clone().set("message.max.bytes", "10000000").create()?;
    for topic in topics::all() {
        let may = may_write(&producer, &topic.name).await.with_context(|| format!("writing {}", topic.name))?;
        ensure!(may == expected.writes.contains(&topic.name), "writing {} is {}", topic.name, said(may));
        count(&mut counts.writes, may);
    }
    spawn_blocking(move || drop(producer)).await?;
    for topic in topics::all() {
        let (asked, name) = (client.clone(), topic.name.clone());
        let may = spawn_blocking(move || may_read(asked, &name)).await?;
        let may = may.with_context(|| format!("reading {}", topic.name))?;
        ensure!(may == expected.reads.contains(&topic.name), "reading {} is {}", topic.name, said(may));
        count(&mut counts.reads, may);
    }
    for group in Service::WITH_OUTBOX.map(Service::name) {
        let own = expected.group == Some(group);
        if own && !joins {
            continue;
        }
        let (asked, topic) =
            (client.clone(), expected.reads.first().cloned().unwrap_or_else(|| "orders.v1".to_owned()));
        let may = spawn_blocking(move || may_join(asked, group, &topic)).await?;
        let may = may.with_context(|| format!("joining {group}"))?;
        ensure!(may == own, "joining {group} is {}", said(may));
        count(&mut counts.joins, may);
    }
    Ok(counts)
}

const fn said(may: bool) -> &'static str {
    if may { "allowed" } else { "refused" }
}

const fn count(counts: &mut (usize, usize), may: bool) {
    if may {
        counts.0 += 1;
    } else {
        counts.1 += 1;
    }
}

async fn may_write(producer: &FutureProducer, topic: &str) -> anyhow::Result<bool> {
    let payload = vec![b'x'; TOO_LARGE];
    let record = FutureRecord::to(topic).key("forged").payload(&payload);
    let error = match producer.send_result(record) {
        Err((error, _)) => error,
        Ok(report) => match timeout(PATIENCE, report).await.context("no report")?? {
            Ok(_) => bail!("{topic} took {TOO_LARGE} bytes"),
            Err((error, _)) => error,
        },
    };
    match error.rdkafka_error_code() {
        Some(Code::TopicAuthorizationFailed) => Ok(false),
        Some(Code::MessageSizeTooLarge) => Ok(true),
        _ => Err(error.into()),
    }
}

/// Blocks.
fn may_read(mut client: ClientConfig, topic: &str) -> anyhow::Result<bool> {
    let consumer: BaseConsumer = client
        .set("group.id", "forgery")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let found =
        metadata.topics().iter().find(|found| found.name() == topic).context("the broker tells nothing of it")?;
    match found.error().map(Code::from) {
        Some(Code::TopicAuthorizationFailed) => return Ok(false),
        Some(code) => bail!("{code}"),
        None => {}
    }
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match consumer.poll(POLL) {
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Ok(true),
            Some(Err(error)) if error.rdkafka_error_code() == Some(Code::TopicAuthorizationFailed) => return Ok(false),
            // Its group is nobody's, and reading without one needs none.
            Some(Err(_)) | None => {}
        }
    }
    bail!("neither an event nor a refusal came")
}

/// Blocks.
fn may_join(mut client: ClientConfig, group: &str, topic: &str) -> anyhow::Result<bool> {
    let consumer: BaseConsumer = client.set("group.id", group).set("enable.auto.commit", "false").create()?;
    consumer.subscribe(&[topic])?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match consumer.poll(POLL) {
            Some(Err(error)) if error.rdkafka_error_code() == Some(Code::GroupAuthorizationFailed) => return Ok(false),
            _ if consumer.assignment()?.count() > 0 => return Ok(true),
            _ => {}
        }
    }
    bail!("neither partitions nor a refusal came")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_of_a_broker_are_read_from_its_configuration() {
        let jaas = "x.PlainLoginModule required username=\"broker\" password=\"b\" user_broker=\"b\" user_admin=\"a\" \
                    user_order-svc=\"o\" user_order-relay=\"r\";";
        let found: Vec<_> = principals(jaas).into_iter().map(|user| (user.name, user.password)).collect();
        let some = |name: &str, password: &str| (name.to_owned(), Some(password.to_owned()));
        assert_eq!(found, [some("order-svc", "o"), some("order-relay", "r"), (ANONYMOUS.to_owned(), None)]);
        assert_eq!(password_of(jaas, "admin").as_deref(), Some("a"));
        assert_eq!(password_of(jaas, "order-relay").as_deref(), Some("r"));
    }
}
