//! Three relays of one database: one leads and two stand by, and when the leader is killed another leads.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::Client;
use tokio::time::timeout;

use super::super::engine::{self, Container};
use super::super::load::Load;
use super::super::shell::a_moment;
use super::super::stack::Stack;
use super::super::tour::{Kind, Tour};
use super::{SETTLES, WELL_AGAIN};

const SERVICE: &str = "order-relay";
const RELAYS: usize = 3;
const LEADS_WITHIN: Duration = Duration::from_secs(30);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

pub(in crate::compose_test) async fn try_out(stack: &Stack, load: &Load, tour: &mut Tour) -> anyhow::Result<String> {
    tour.run(Kind::ScaleRelays).await?;
    stack.until_well(WELL_AGAIN).await?;
    let first = only_leader(stack, RELAYS).await?;
    load.accepts(5).await?;
    engine::docker(&["kill", "--signal", "KILL", &first.id]).await?;
    let killed = Instant::now();
    let second = only_leader(stack, RELAYS - 1).await?;
    let took = killed.elapsed();
    load.accepts(5).await?;
    load.book.settled(SETTLES).await?;
    let back = back_to_one(stack, tour).await?;
    load.accepts(5).await?;
    load.book.settled(SETTLES).await?;
    Ok(format!(
        "{} led of {RELAYS}; killed, {} led {:.1} s later; back to one, {} leads; every order ended",
        first.name,
        second.name,
        took.as_secs_f64(),
        back.name
    ))
}

async fn back_to_one(stack: &Stack, tour: &mut Tour) -> anyhow::Result<Container> {
    if tour.run_any(Kind::ScaleRelaysBack).await? == 0 {
        let arguments = ["up", "-d", "--no-recreate", "--scale", "order-relay=1", SERVICE];
        stack.compose(&arguments, WELL_AGAIN).await?.ok("docker compose up --scale order-relay=1")?;
    }
    stack.until_well(WELL_AGAIN).await?;
    only_leader(stack, 1).await
}

/// Waits until so many relays run and exactly one of them says that it leads.
async fn only_leader(stack: &Stack, running: usize) -> anyhow::Result<Container> {
    let until = Instant::now() + LEADS_WITHIN;
    loop {
        let (mut leaders, mut count) = (Vec::new(), 0);
        for relay in stack.instances(SERVICE).await?.into_iter().filter(|relay| relay.status == "running") {
            count += 1;
            if leads(&relay).await.unwrap_or(false) {
                leaders.push(relay);
            }
        }
        match leaders.pop() {
            Some(leader) if leaders.is_empty() && count == running => return Ok(leader),
            last if Instant::now() >= until => {
                bail!("{count} relays run and {} lead, expected {running} and 1", leaders.len() + last.iter().len())
            }
            _ => a_moment().await,
        }
    }
}

/// What its metrics say. They have no published port: they are asked for in the containers' own network.
async fn leads(relay: &Container) -> anyhow::Result<bool> {
    let url = format!("http://{}:9464/metrics", relay.address()?);
    let metrics = timeout(ANSWERS_WITHIN, Client::new().get(&url).send()).await??.error_for_status()?.text().await?;
    let mut lines = metrics.lines().filter(|line| line.starts_with("outbox_relay_leading{"));
    let line = lines.next().context("no outbox_relay_leading");
    Ok(line.is_ok_and(|line| line.ends_with(" 1")))
}
