//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    catalogue::CatalogueArgs, dead_letters::DeadLettersArgs, healthcheck::HealthcheckArgs, plan::PortWish,
    service::Service, tail::TailArgs, topics::TopicsArgs,
};

/// The whole shop on one machine, and tools to look into it. Without a command: `up`.
#[derive(Debug, Parser)]
#[command(name = "quadrille", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What `up` takes.
    #[command(flatten)]
    pub up: UpArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts everything on this machine, until Ctrl-C.
    Up(UpArgs),
    /// Runs one service, which takes its configuration from the environment.
    Run {
        /// Which one.
        service: Service,
    },
    /// Shows events as they come, with their headers.
    Tail(TailArgs),
    /// Shows topics with their offsets and how far each consumer group is behind; `create` makes the shop's topics.
    Topics(TopicsArgs),
    /// Adds a dozen products where they aren't there, and waits until they can be ordered.
    Catalogue(CatalogueArgs),
    /// Looks at events that a service could not handle, has them tried again or drops them.
    DeadLetters(DeadLettersArgs),
    /// Asks a service whether it is ready: exit code 0 or 1, and one line that says what is not well.
    Healthcheck(HealthcheckArgs),
}

/// How to start everything.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Where data, logs and mails are kept.
    #[arg(long, value_name = "DIR", default_value = ".quadrille")]
    pub data: PathBuf,
    /// Leaves a service out and prints how to start it alone; may be given several times.
    #[arg(long, value_name = "SERVICE", value_delimiter = ',')]
    pub without: Vec<Service>,
    /// Shifts every port, so that several shops run side by side.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port_offset: u16,
    /// Takes whatever ports are free; they are in DIR/addresses.json.
    #[arg(long, conflicts_with = "port_offset")]
    pub free_ports: bool,
    /// A PostgreSQL to use instead of starting one: the URL of a user who may create databases.
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// A Kafka to use instead of starting one.
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Keeps the services' output out of the terminal; it is in DIR/logs in any case.
    #[arg(long)]
    pub quiet: bool,
}

impl UpArgs {
    /// Which ports to take.
    pub fn ports(&self) -> PortWish {
        if self.free_ports { PortWish::Free } else { PortWish::Offset(self.port_offset) }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_up() {
        let cli = Cli::parse_from(["quadrille", "--without", "payment-svc"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.up.without, [Service::PaymentSvc]);
    }
}
