//! Runs docker-compose.yml for real: a line with figures for each point.

use std::process::ExitCode;

use clap::Parser;
use quadrille::compose_test::{self, ComposeTestArgs};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let failed = compose_test::run(&ComposeTestArgs::parse()).await?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
