//! Kills the primary of a shop under load, again and again, and checks after each time that nothing was lost or made up.

use std::process::ExitCode;

use clap::Parser;
use quadrille_acceptance::failover::{self, FailoverArgs};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let as_promised = failover::run(&FailoverArgs::parse()).await?;
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
