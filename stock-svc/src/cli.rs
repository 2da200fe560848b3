//! The command line of stock-svc: without arguments the service, with one a task on its database.

use std::io::Write;

use anyhow::{Context, bail};
use service_kit::config::{DatabaseConfig, Reader};
use service_kit::progress::Progress;
use service_kit::{pool, shutdown};

use crate::{commands, store};

const USAGE: &str = "usage:
  stock-svc              serve, until told to stop
  stock-svc recompute    compare each level with the sum of its movements and of its live holds, and the movements with
                         their orders; name each difference and fail if there is one. With --repair, set levels to
                         these sums where nothing contradicts them, while nobody moves anything
  stock-svc reannounce   announce every product again, as it is, with the next sequence: where products.v1 was lost

Both read DATABASE_URL; the service may run meanwhile. What is announced goes through the outbox.";

/// Does what the arguments (without the program's name) say; writes answers to `out`.
///
/// # Errors
/// The arguments or the environment are wrong, or what was asked for fails.
pub async fn run(arguments: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => crate::run().await,
        ["reannounce"] => {
            let config = Reader::from_env().whole(DatabaseConfig::read)?;
            reannounce(&config, out).await
        }
        ["recompute"] => recompute(false, out).await,
        ["recompute", "--repair"] => recompute(true, out).await,
        ["help" | "--help" | "-h"] => Ok(writeln!(out, "{USAGE}")?),
        other => bail!("there is no command {:?}; `stock-svc help` lists them", other.join(" ")),
    }
}

/// Looks into the books, says what doesn't agree, and fails if anything is left of it.
async fn recompute(repair: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let pool = pool::open(&Reader::from_env().whole(DatabaseConfig::read)?).await?;
    let all = store::products::count(&mut *pool.get().await?).await.context("counting the products")?;
    let found = commands::recompute(&pool, repair).await?;
    write!(out, "{found}")?;
    match found.open() {
        0 => Ok(writeln!(out, "{all} products: levels, movements and holds agree")?),
        open => bail!("{open} differences between levels, movements and holds in {all} products"),
    }
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
