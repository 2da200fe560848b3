//! A process that dies by itself is brought back by its container's restart policy, with nobody's help.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::{
    super::{engine, load::Load, shell::a_moment, stack::Stack},
    SETTLES, WELL_AGAIN,
};

const NOTICED_WITHIN: Duration = Duration::from_secs(30);

pub(in crate::compose_test) async fn try_out(stack: &Stack, load: &Load, victim: &str) -> anyhow::Result<String> {
    load.accepts(5).await?;
    let before = stack.only(victim).await?;
    let killed = Instant::now();
    kill(stack, before.pid).await?;
    let after = loop {
        let now = engine::inspect(&before.id).await?;
        if now.restarts > before.restarts {
            break now;
        }
        if killed.elapsed() >= NOTICED_WITHIN {
            bail!("{victim} was not started again: it is {}, exit code {}", now.status, now.exit_code);
        }
        a_moment().await;
    };
    let back = stack.until_one_is_well(&after.id, WELL_AGAIN).await?;
    let well = killed.elapsed();
    load.book.settled(SETTLES).await?;
    Ok(format!(
        "{victim}'s process {} killed; the engine started {} in its place, healthy after {:.1} s, and every order ended",
        before.pid,
        back.pid,
        well.as_secs_f64()
    ))
}

/// From a container that sees the machine's processes: the engine doesn't take this for a stop by hand, as it does
/// `docker kill`, and whoever may use the engine may do it.
async fn kill(stack: &Stack, pid: i64) -> anyhow::Result<()> {
    let postgres = stack.only("postgres").await?;
    let image = postgres.fact("/Config/Image").as_str().context("an image with a shell")?;
    let command = format!("kill -KILL {pid}");
    let arguments = ["run", "--rm", "--pid", "host", "--user", "0", "--network", "none", "--entrypoint", "bash"];
    let arguments: Vec<_> = arguments.into_iter().chain([image, "-c", &command]).collect();
    engine::docker(&arguments).await.map(drop)
}
