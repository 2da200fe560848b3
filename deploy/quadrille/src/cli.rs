//! What can be said on the command line.

use std::{convert::Infallible, ffi::OsString, path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};

use crate::audit::AuditArgs;
use crate::broker::{self, BrokerArgs};
use crate::catalogue::CatalogueArgs;
use crate::dead_letters::DeadLettersArgs;
use crate::demo::DemoArgs;
use crate::forget::ForgetArgs;
use crate::healthcheck::HealthcheckArgs;
use crate::login::LoginArgs;
use crate::migrate::MigrateArgs;
use crate::order::OrderArgs;
use crate::plan::PortWish;
use crate::principals::PrincipalsArgs;
use crate::service::Service;
use crate::stuck::StuckArgs;
use crate::tail::TailArgs;
use crate::topics::TopicsArgs;

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
    /// Runs the embedded broker alone: Kafka's protocol, everything in memory.
    Broker(BrokerArgs),
    /// Shows events as they come, with their headers.
    Tail(TailArgs),
    /// Shows topics with their offsets and how far each consumer group is behind; `create` makes the shop's topics.
    Topics(TopicsArgs),
    /// Shows what each principal may do at the brokers, as commands of Kafka's own tool; `create` gives them their rights.
    Principals(PrincipalsArgs),
    /// Adds the products of a tea and coffee shop where they aren't there, and waits until they can be ordered.
    Catalogue(CatalogueArgs),
    /// Plays what can happen to an order, one after the other, and explains each with the events that flowed.
    Demo(DemoArgs),
    /// Shows what happened to one order, and what it waits for.
    Order(OrderArgs),
    /// Shows which orders wait longer than they should, by what keeps them, and what mends it. Exit code 1 if anything was found.
    Stuck(StuckArgs),
    /// Checks everything that must hold, over all databases, the gateway's journal and all topics, and names what is broken.
    Audit(AuditArgs),
    /// Looks at events that a service could not handle, has them tried again or drops them.
    DeadLetters(DeadLettersArgs),
    /// Forgets a customer: takes the person out of every service and says what is left, where and until when. Can be run again.
    Forget(ForgetArgs),
    /// Measures how fast the shop is: runs quadrille-bench, which must be beside this program.
    Bench {
        /// What quadrille-bench takes; --help lists it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Prints tokens of people whom the issuer of `up` knows, as lines for a shell: eval "$(quadrille login ann)".
    Login(LoginArgs),
    /// Brings a service's database up to date before the service starts, and grants its relay's role what it needs.
    Migrate(MigrateArgs),
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
    /// Apache Kafka instead of the embedded broker: one to use, or without an address one that is started here (needs
    /// Java 17).
    #[arg(
        long,
        env = "KAFKA_BOOTSTRAP_SERVERS",
        value_name = "HOST:PORT",
        num_args = 0..=1,
        default_value = "",
        hide_default_value = true,
        default_missing_value = APACHE
    )]
    pub kafka: KafkaWish,
    /// Has the services ask nobody who they are: whoever reaches them may do everything. Without it they ask for tokens, which
    /// an issuer that is started here gives: `quadrille login` logs in.
    #[arg(long)]
    pub no_auth: bool,
    /// Keeps the services' output out of the terminal; it is in DIR/logs in any case.
    #[arg(long)]
    pub quiet: bool,
}

/// How one says that Apache Kafka is to be started.
const APACHE: &str = "apache";

/// Which broker a run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KafkaWish {
    /// The one in this program, in memory.
    Embedded,
    /// Apache Kafka, started here.
    Apache,
    /// The one at this address.
    Given(String),
}

impl FromStr for KafkaWish {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" if broker::IS_HERE => Self::Embedded,
            "" | APACHE => Self::Apache,
            address => Self::Given(address.to_owned()),
        })
    }
}

impl UpArgs {
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

    #[test]
    fn apache_kafka_is_started_or_used_where_it_is_asked_for() {
        let wish = |arguments: &[&str]| Cli::parse_from([&["quadrille"], arguments].concat()).up.kafka;
        let own = if broker::IS_HERE { KafkaWish::Embedded } else { KafkaWish::Apache };
        assert_eq!("".parse(), Ok(own));
        assert_eq!(wish(&["--kafka", "--quiet"]), KafkaWish::Apache);
        assert_eq!(wish(&["--kafka", "kafka:9092"]), KafkaWish::Given("kafka:9092".to_owned()));
    }
}
