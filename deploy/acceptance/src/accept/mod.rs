//! What the shop must be able to do, tried out on the real programs: each point prints a line with its figures.

mod events;
mod points;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::Parser;

use crate::program;
use crate::report::{Report, say};
use crate::shop::Shop;

/// Starts the shop with a fresh data folder and puts it through its paces.
#[derive(Debug, Parser)]
#[command(name = "quadrille-accept")]
pub struct AcceptArgs {
    /// On Apache Kafka, which it starts, instead of the embedded broker.
    #[arg(long)]
    kafka: bool,
    /// Only the points whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Keeps the data folder, logs included, even when all went well.
    #[arg(long)]
    keep: bool,
}

/// Runs all points and returns how many failed. Fails if the shop can't be started at all.
pub async fn run(arguments: &AcceptArgs) -> anyhow::Result<usize> {
    let data = fresh_folder()?;
    say(&format!("data, logs and mails in {}", data.display()));
    let mut report = Report::new(&arguments.only);
    let binary = program("quadrille")?;
    let outcome = all_points(arguments, &binary, &data, &mut report).await;
    if outcome.is_ok() && report.failed() == 0 && !arguments.keep {
        fs::remove_dir_all(&data).with_context(|| format!("removing {}", data.display()))?;
    } else {
        say(&format!("kept for a look: {}", data.display()));
    }
    outcome.map(|()| report.failed())
}

async fn all_points(arguments: &AcceptArgs, binary: &Path, data: &Path, report: &mut Report) -> anyhow::Result<()> {
    if arguments.kafka {
        report.point("relay from nothing", points::from_nothing::try_out(binary, data)).await;
    }
    let began = Instant::now();
    let broker: &[&str] = if arguments.kafka { &["--kafka"] } else { &[] };
    let mut shop = Shop::start(binary, data, broker).await?;
    let on = if arguments.kafka { "Apache Kafka" } else { "the embedded broker" };
    say(&format!("up in {:.1} s, on {on}", began.elapsed().as_secs_f64()));
    report.point("completed", points::completed::try_out(&shop)).await;
    report.point("undone", points::undone::try_out(&shop)).await;
    report.point("idempotency keys", points::idempotency::try_out(&shop)).await;
    report.point("idle", points::idle::try_out(&shop)).await;
    report.point("last units", points::last_units::try_out(&shop)).await;
    report.point("payment-svc killed", points::killed::payment_svc(&shop)).await;
    report.point("order-svc and its relay killed", points::killed::order_svc(&shop)).await;
    report.point("leading standby relay killed", points::killed::standby_relay(&shop)).await;
    report.point("everything killed", points::everything_killed::try_out(&mut shop)).await;
    if !arguments.kafka {
        report.point("embedded broker killed", points::broker_killed::try_out(&mut shop)).await;
    }
    report.point("audit", points::audit::try_out(&shop)).await;
    shop.stop().await?;
    if arguments.kafka {
        report.point("Kafka stopped", points::kafka_stopped::try_out(binary, data)).await;
        report.point("topics lost", points::topics_lost::try_out(binary, data)).await;
    }
    Ok(())
}

/// In the system's folder for temporary files, which PostgreSQL's user can reach.
fn fresh_folder() -> anyhow::Result<PathBuf> {
    let folder =
        std::env::temp_dir().join(format!("quadrille-accept-{}-{:08x}", std::process::id(), rand::random::<u32>()));
    fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    Ok(folder)
}
