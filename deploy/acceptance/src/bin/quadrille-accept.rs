//! Starts the shop with a fresh data folder and puts it through its paces: a line with figures for each point.

use std::process::ExitCode;

use clap::Parser;
use quadrille_acceptance::accept::{self, AcceptArgs};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let failed = accept::run(&AcceptArgs::parse()).await?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
