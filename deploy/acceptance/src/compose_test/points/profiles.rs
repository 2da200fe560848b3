//! The optional tools, where their images can be had: the topic UI, the one door, and what watches the shop.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use quadrille::login::Person;
use reqwest::{Client, StatusCode};

use super::super::shell::a_moment;
use super::super::stack::Stack;
use super::super::tour::{Kind, Tour};
use super::edge;

const ANSWERS_WITHIN: Duration = Duration::from_secs(120);

/// What each profile is to answer.
const DOORS: [(&str, Kind, &[&str]); 3] = [
    ("tools", Kind::Tools, &["http://127.0.0.1:8085/"]),
    ("edge", Kind::Edge, &edge::PATHS),
    (
        "observability",
        Kind::Observability,
        &["http://127.0.0.1:9090/-/ready", "http://127.0.0.1:3000/d/quadrille-shop", "http://127.0.0.1:16686/"],
    ),
];

pub(in crate::compose_test) async fn try_out(stack: &Stack, tour: &mut Tour) -> anyhow::Result<String> {
    let missing = std::env::var("QUADRILLE_TEST_SKIP_PROFILES").unwrap_or_default();
    let mut told = Vec::new();
    for (profile, kind, urls) in DOORS {
        if missing.split_whitespace().any(|name| name == profile) {
            tour.skip(kind, &format!("the image of profile {profile} can't be had on this machine"));
            told.push(format!("{profile} left out: its image can't be had"));
            continue;
        }
        tour.run(kind).await?;
        stack.until_well(ANSWERS_WITHIN).await?;
        for url in urls {
            answers(stack, url).await?;
        }
        told.push(format!("{profile} answers at {} addresses", urls.len()));
        if kind == Kind::Edge {
            told.push(edge::try_out(stack).await?);
        }
    }
    Ok(told.join("; "))
}

async fn answers(stack: &Stack, url: &str) -> anyhow::Result<()> {
    let token = stack.token(Person::Sam).await?;
    let until = Instant::now() + ANSWERS_WITHIN;
    loop {
        let last = match Client::new().get(url).bearer_auth(&token).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => return Ok(()),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= until {
            bail!("{url} answers {last}");
        }
        a_moment().await;
    }
}

/// Whether what the profiles brought is gone after a `down`.
pub(in crate::compose_test) async fn all_gone(stack: &Stack) -> anyhow::Result<()> {
    let left: Vec<_> = stack.containers().await?.into_iter().map(|container| container.name).collect();
    ensure!(left.is_empty(), "still there after `down`: {}", left.join(", "));
    Ok(())
}
