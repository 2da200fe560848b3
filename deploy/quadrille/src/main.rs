//! `quadrille`: starts the shop, runs one of its services, looks into its topics.

use std::process::ExitCode;

use clap::Parser;
use quadrille::audit::{self, AuditArgs};
use quadrille::cli::{Cli, Command};
use quadrille::{
    bench, broker, catalogue, dead_letters, demo, forget, healthcheck, login, migrate, order, principals, run, stuck,
    tail, topics, up,
};
use service_kit::{exit, shutdown};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command.unwrap_or(Command::Up(cli.up)) {
        Command::Up(arguments) => {
            up::show_progress("info");
            exit::code_in_lines("quadrille", up::up(&arguments).await)
        }
        Command::Run { service } => exit::code(service.name(), run::run(service).await),
        Command::Broker(arguments) => {
            up::show_progress("warn");
            exit::code("quadrille", broker::broker(arguments).await)
        }
        Command::Bench { arguments } => exit::code("quadrille", bench::bench(&arguments)),
        Command::Audit(arguments) => exit::code("quadrille", audit(&arguments).await),
        tool => exit::code("quadrille", unless_told_to_stop(run_tool(tool)).await),
    }
}

async fn run_tool(tool: Command) -> anyhow::Result<()> {
    match tool {
        Command::DeadLetters(arguments) => dead_letters::dead_letters(&arguments, &mut exit::stdout()).await,
        Command::Demo(arguments) => demo::demo(&arguments, &mut exit::stdout()).await,
        Command::Order(arguments) => order::order(&arguments, &mut exit::stdout()).await,
        Command::Stuck(arguments) => stuck::stuck(&arguments, &mut exit::stdout()).await,
        Command::Tail(arguments) => tokio::task::spawn_blocking(move || tail::tail(&arguments)).await?,
        Command::Principals(arguments) => principals::principals(&arguments, &mut exit::stdout()).await,
        Command::Topics(arguments) => topics::topics(&arguments, &mut exit::stdout()).await,
        Command::Catalogue(arguments) => catalogue::catalogue(&arguments, &mut exit::stdout()).await,
        Command::Forget(arguments) => forget::forget(&arguments, &mut exit::stdout()).await,
        Command::Healthcheck(arguments) => healthcheck::healthcheck(&arguments).await,
        Command::Login(arguments) => login::login(&arguments, &mut exit::stdout()).await,
        Command::Migrate(arguments) => migrate::migrate(&arguments, &mut exit::stdout()).await,
        // they are no tools: they drain, or say how far they are, when they are told to stop
        Command::Up(_) | Command::Run { .. } | Command::Broker(_) | Command::Audit(_) | Command::Bench { .. } => Ok(()),
    }
}

/// Told to stop it says what it has found till then, and from where to go on.
async fn audit(arguments: &AuditArgs) -> anyhow::Result<()> {
    audit::audit(arguments, &shutdown::signal()?, &mut exit::stdout()).await
}

/// A tool has nothing to drain: told to stop it ends where it is. By default a signal does that, but not for the first
/// process of a container.
async fn unless_told_to_stop(tool: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let code = tokio::select! {
        ended = tool => return ended,
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    };
    // Returning would wait for threads that block.
    std::process::exit(code)
}
