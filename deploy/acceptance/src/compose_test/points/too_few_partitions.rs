//! A topic that was made with too few partitions: the job `topics` says which, and leaves it as it is.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::super::groups;
use super::super::shell::{a_moment, last_lines};
use super::super::stack::{KAFKA_BY_NAME, Stack};
use crate::forgery;

/// Nobody reads it, and nothing is in it.
const TOPIC: &str = "notification-svc.dlq";
const PATIENCE: Duration = Duration::from_secs(30);

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let before = groups::topics().await?;
    let partitions = *before.get(TOPIC).with_context(|| format!("there is no topic {TOPIC}"))?;
    let password = forgery::password_of(&stack.kafka_users().await?, "admin").context("there is no admin")?;
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", KAFKA_BY_NAME).set("security.protocol", "sasl_plaintext");
    client.set("sasl.mechanism", "PLAIN").set("sasl.username", "admin").set("sasl.password", password);
    let admin: AdminClient<DefaultClientContext> = client.create().context("Kafka's admin client")?;
    remove(&admin).await?;
    let small = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    admin.create_topics(&[small], &options()).await?;
    until_it_has(Some(1)).await?;
    let told = job(stack).await?;
    let after = groups::topics().await?;
    remove(&admin).await?;
    let mended = job(stack).await?;
    until_it_has(Some(partitions)).await?;
    ensure!(!told.success, "the job ended as if all were well: {}", last_lines(&told.text, 3));
    let line = told.text.lines().find(|line| line.contains(TOPIC) && line.contains("partition"));
    let line = line.with_context(|| format!("no line names the topic: {}", last_lines(&told.text, 4)))?;
    ensure!(after.get(TOPIC) == Some(&1), "the job changed the topic");
    ensure!(after.len() == before.len(), "there were {} topics, now there are {}", before.len(), after.len());
    mended.ok("docker compose run topics")?;
    Ok(format!("\"{}\"; nothing was changed", line.trim()))
}

async fn job(stack: &Stack) -> anyhow::Result<super::super::shell::Output> {
    stack.compose(&["run", "--rm", "--no-deps", "-T", "topics"], PATIENCE * 2).await
}

async fn remove(admin: &AdminClient<DefaultClientContext>) -> anyhow::Result<()> {
    for outcome in admin.delete_topics(&[TOPIC], &options()).await? {
        outcome.map_err(|(topic, code)| anyhow::anyhow!("{topic} can't be deleted: {code}"))?;
    }
    until_it_has(None).await
}

async fn until_it_has(partitions: Option<usize>) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = groups::topics().await?.get(TOPIC).copied();
        if found == partitions {
            return Ok(());
        }
        if Instant::now() >= until {
            bail!("{TOPIC} has {found:?} partitions, expected {partitions:?}");
        }
        a_moment().await;
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
