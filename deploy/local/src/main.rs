//! `quadrille`: starts the shop, runs one of its services, looks into its topics.

use clap::Parser;
use quadrille::{
    cli::{Cli, Command},
    dead_letters, run, tail, up,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(arguments) => {
            up::show_progress();
            up::up(&arguments).await
        }
        Command::Run { service } => run::run(service).await,
        Command::DeadLetters(arguments) => dead_letters::dead_letters(&arguments, &mut std::io::stdout()).await,
        Command::Tail(arguments) => tokio::task::spawn_blocking(move || tail::tail(&arguments)).await?,
    }
}
