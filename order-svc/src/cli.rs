//! The command line of order-svc: it serves without arguments, and runs a task on the database with one.

use std::io::Write;

use anyhow::{Context, bail};
use service_kit::config::{DatabaseConfig, Reader};
use service_kit::progress::Progress;
use service_kit::{pool, shutdown};

use crate::commands;
use crate::store::customers;

const USAGE: &str = "usage:
  order-svc              serve, until told to stop
  order-svc reannounce   announce every customer's profile again, as it is, with the next sequence: where customers.v1 was
                         lost

`reannounce` reads DATABASE_URL; the service may run meanwhile. What is announced goes through the outbox.";

/// Runs the command that the arguments (without the program's name) give, and writes its output to `out`. Fails if the
/// arguments or the environment are wrong, or if the command fails.
pub async fn run(arguments: &[String], out: &mut impl Write) -> anyhow::Result<()> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => crate::run().await,
        ["reannounce"] => reannounce(&Reader::from_env().whole(DatabaseConfig::read)?, out).await,
        ["help" | "--help" | "-h"] => Ok(writeln!(out, "{USAGE}")?),
        other => bail!("there is no command {:?}; `order-svc help` lists them", other.join(" ")),
    }
}

/// Announces all customers again, batch by batch, until told to stop.
async fn reannounce(config: &DatabaseConfig, out: &mut impl Write) -> anyhow::Result<()> {
    let stop = shutdown::signal()?;
    let pool = pool::open(config).await?;
    let all = customers::count(&mut *pool.get().await?).await.context("counting the customers")?;
    let mut progress = Progress::new("customers announced again", all);
    let (mut done, mut after) = (0, None);
    while !stop.is_cancelled() {
        let announced = commands::reannounce(&pool, after.as_ref()).await?;
        done += announced.customers as u64;
        let Some(last) = announced.last else {
            progress.end(done);
            writeln!(out, "{done} customers are announced again on customers.v1, through the outbox")?;
            return Ok(());
        };
        progress.at(done, "");
        after = Some(last);
    }
    progress.end(done);
    bail!("stopped after {done} of {all} customers: begin again, announcing one twice does no harm")
}
