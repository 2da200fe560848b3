//! A second instance of each service comes under load and goes again: the groups share their partitions out anew.

use std::time::{Duration, Instant};

use super::super::groups;
use super::super::load::Load;
use super::super::stack::Stack;
use super::super::tour::{Kind, Tour};
use super::{SETTLES, WELL_AGAIN, hardening};

const GROUPS: [&str; 4] = ["order-svc", "stock-svc", "payment-svc", "notification-svc"];
const SECOND: [&str; 4] = ["order-svc-2", "stock-svc-2", "payment-svc-2", "notification-svc-2"];
/// A member that goes without a word is missed when its session times out.
const SHARED_WITHIN: Duration = Duration::from_secs(60);

pub(in crate::compose_test) async fn try_out(stack: &Stack, load: &Load, tour: &mut Tour) -> anyhow::Result<String> {
    let before = groups::shared_by(&GROUPS, 1, None, SHARED_WITHIN).await?;
    load.accepts(5).await?;
    tour.run(Kind::Second).await?;
    stack.until_well(WELL_AGAIN).await?;
    let joined = Instant::now();
    let shares = groups::shared_by(&GROUPS, 2, Some(&before), SHARED_WITHIN).await?;
    let shared = joined.elapsed();
    hardening::try_out(stack, tour).await?;
    load.accepts(40).await?;
    load.book.settled(SETTLES).await?;
    take_away(stack, tour).await?;
    let left = Instant::now();
    groups::shared_by(&GROUPS, 1, Some(&before), SHARED_WITHIN).await?;
    let took_over = left.elapsed();
    load.accepts(20).await?;
    load.book.settled(SETTLES).await?;
    let shares: Vec<_> = shares.iter().map(|(group, of)| format!("{group} {}", list(of))).collect();
    Ok(format!(
        "partitions shared {:.1} s after both were healthy ({}); all with one again {:.1} s after the second had gone; every \
         order ended",
        shared.as_secs_f64(),
        shares.join(", "),
        took_over.as_secs_f64()
    ))
}

fn list(shares: &[usize]) -> String {
    shares.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")
}

async fn take_away(stack: &Stack, tour: &mut Tour) -> anyhow::Result<()> {
    if tour.run_any(Kind::SecondAway).await? == 0 {
        let arguments: Vec<_> = ["--profile", "scale", "rm", "--stop", "--force"].into_iter().chain(SECOND).collect();
        stack.compose(&arguments, WELL_AGAIN).await?.ok("docker compose rm of the second instances")?;
    }
    Ok(())
}
