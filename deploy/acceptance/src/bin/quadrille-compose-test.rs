//! Runs docker-compose.yml for real: a line with figures for each point.

use std::process::ExitCode;

use clap::Parser;
use quadrille_acceptance::compose_test::{self, ComposeTestArgs};
use service_kit::exit;

#[tokio::main]
async fn main() -> ExitCode {
    match compose_test::run(&ComposeTestArgs::parse()).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => exit::code("quadrille-compose-test", Err(error)),
    }
}
