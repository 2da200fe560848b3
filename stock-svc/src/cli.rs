//! The command line of stock-svc: it serves without arguments, and runs a task on the database with one.

use std::io::Write;

use anyhow::{Context, bail};
use service_kit::config::{DatabaseConfig, Reader};
use service_kit::progress::Progress;
use service_kit::{pool, shutdown};
use uuid::Uuid;

use crate::commands::{self, Recomputed, Start};
use crate::store;

const USAGE: &str = "usage:
  stock-svc              serve, until told to stop
  stock-svc recompute    compare each level with the sum of its movements and of its live holds, and the movements with
                         their orders; name each difference and fail if there is one. With --repair, correct levels
                         by what they are off where nothing contradicts it. With --from PLACE, go on where one was
                         stopped, as it said then (orders:ID or levels:SKU)
  stock-svc reannounce   announce every product again, as it is, with the next sequence: where products.v1 was lost

Both read DATABASE_URL; the service may run meanwhile. What is announced goes through the outbox.";

/// Runs the command that the arguments (without the program's name) give, and writes its output to `out`. Fails if the
/// arguments or the environment are wrong, or if the command fails.
pub async fn run(arguments: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => crate::run().await,
        ["reannounce"] => {
            let config = Reader::from_env().whole(DatabaseConfig::read)?;
            reannounce(&config, out).await
        }
        ["recompute"] => recompute(Start::Orders(Uuid::nil()), false, out).await,
        ["recompute", "--repair"] => recompute(Start::Orders(Uuid::nil()), true, out).await,
        ["recompute", "--from", place] => recompute(start(place)?, false, out).await,
        ["help" | "--help" | "-h"] => Ok(writeln!(out, "{USAGE}")?),
        other => bail!("there is no command {:?}; `stock-svc help` lists them", other.join(" ")),
    }
}

/// Compares the books and reports the differences. Fails if any is left.
async fn recompute(from: Start, repair: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let stop = shutdown::signal()?;
    let pool = pool::open(&Reader::from_env().whole(DatabaseConfig::read)?).await?;
    let mut conn = pool.get().await.context("a connection")?;
    let Recomputed { levels, left } = commands::recompute(&mut conn, from, repair, &stop, out).await?;
    match left {
        0 => Ok(writeln!(out, "{levels} products: levels, movements and holds agree")?),
        left => bail!("{left} differences between levels, movements and holds in {levels} products"),
    }
}

/// The position that a stopped comparison has printed.
fn start(place: &str) -> anyhow::Result<Start> {
    let order = place.strip_prefix("orders:").and_then(|id| id.parse().ok()).map(Start::Orders);
    order
        .or_else(|| place.strip_prefix("levels:").map(|sku| Start::Levels(sku.to_owned())))
        .with_context(|| format!("--from {place}: expected orders:ID with the id of an order, or levels:SKU"))
}

/// Announces the whole catalogue again, batch by batch, until told to stop.
async fn reannounce(config: &DatabaseConfig, out: &mut impl Write) -> anyhow::Result<()> {
    let stop = shutdown::signal()?;
    let pool = pool::open(config).await?;
    let all = store::products::count(&mut *pool.get().await?).await.context("counting the products")?;
    let mut progress = Progress::new("products announced again", all);
    let (mut done, mut after) = (0, None);
    while !stop.is_cancelled() {
        let announced = commands::reannounce(&pool, after.as_ref()).await?;
        done += announced.products as u64;
        let Some(last) = announced.last else {
            progress.end(done);
            writeln!(out, "{done} products are announced again on products.v1, through the outbox")?;
            return Ok(());
        };
        progress.at(done, &format!("the last is {last}"));
        after = Some(last);
    }
    progress.end(done);
    bail!("stopped after {done} of {all} products: begin again, announcing one twice does no harm")
}
