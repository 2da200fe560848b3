//! A container killed while orders come in, and started again: what was placed before and meanwhile comes to its end.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::time::sleep;

use super::super::engine;
use super::super::load::Load;
use super::super::stack::Stack;
use super::super::tour::{Kind, Tour};
use super::{SETTLES, WELL_AGAIN};

/// In this order, so that nothing is killed twice in a row by what it depends on.
pub(in crate::compose_test) const VICTIMS: [&str; 12] = [
    "order-svc",
    "stock-svc",
    "payment-svc",
    "notification-svc",
    "order-relay",
    "stock-relay",
    "payment-relay",
    "notification-relay",
    "sandbox-gateway",
    "sandbox-issuer",
    "kafka",
    "postgres",
];
/// A service, a relay, and what all of them need: the short run kills these only.
pub(in crate::compose_test) const ONE_OF_A_KIND: [&str; 4] = ["payment-svc", "order-relay", "kafka", "postgres"];
/// Orders go on coming for so long before it is started again.
const AWAY: Duration = Duration::from_secs(3);

/// These are started by the README's `up`, which runs the jobs that depend on them once more beside the running shop.
const BY_UP: [&str; 2] = ["kafka", "postgres"];

pub(in crate::compose_test) async fn try_out(
    stack: &Stack,
    load: &Load,
    tour: &mut Tour,
    victim: &str,
) -> anyhow::Result<String> {
    load.accepts(5).await?;
    let container = stack.only(victim).await?;
    let killed = Instant::now();
    engine::docker(&["kill", "--signal", "KILL", &container.id]).await?;
    sleep(AWAY).await;
    let (meanwhile, open) = (load.book.accepted_since(killed), load.book.in_flight());
    let gone = engine::inspect(&container.id).await?;
    ensure!(gone.status == "exited", "{victim} is {} after it was killed", gone.status);
    if BY_UP.contains(&victim) {
        tour.run(Kind::Up).await?;
    } else {
        engine::docker(&["start", &container.id]).await?;
    }
    stack.until_one_is_well(&container.id, WELL_AGAIN).await?;
    let well = Instant::now();
    load.book.settled(SETTLES).await?;
    Ok(format!(
        "{meanwhile} orders accepted while it was away, {open} open when it was started; healthy {:.1} s after the kill, \
         all ended {:.1} s later",
        (well - killed).as_secs_f64(),
        well.elapsed().as_secs_f64()
    ))
}
