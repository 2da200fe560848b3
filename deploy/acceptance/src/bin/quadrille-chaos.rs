//! Under construction, and no command of `quadrille` yet: breaks a shop under load in every way, by a schedule that a seed draws, and checks that nothing was lost or done twice.

use std::process::ExitCode;

use clap::Parser;
use quadrille_acceptance::chaos::{self, ChaosArgs};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let is_well = chaos::run(&ChaosArgs::parse()).await?;
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
