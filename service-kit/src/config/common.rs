use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Reader;
use crate::kafka::Brokers;

/// The variables that every service reads.
pub mod vars {
    use super::super::Var;

    /// Where PostgreSQL is.
    pub static DATABASE_URL: Var = Var {
        name: "DATABASE_URL",
        what: "The service's own database.",
        expected: "a PostgreSQL URL with a database name",
        example: "postgres://order_svc:secret@127.0.0.1:5432/order_svc",
        default: None,
    };
    /// The number of connections.
    pub static DATABASE_POOL_SIZE: Var = Var {
        name: "DATABASE_POOL_SIZE",
        what: "The size of the pool of database connections. A quarter is reserved for requests, a quarter for lanes, an eighth for workers, a sixteenth for timers and a sixteenth (at least two) for upkeep; any of these can use the rest. A pool of fewer than 8 reserves nothing.",
        expected: "a whole number from 2 to 200",
        example: "16",
        default: Some("16"),
    };
    /// Where Kafka is.
    pub static KAFKA_BOOTSTRAP_SERVERS: Var = Var {
        name: "KAFKA_BOOTSTRAP_SERVERS",
        what: "The brokers to connect to first.",
        expected: "host:port, several with commas between",
        example: "127.0.0.1:9092",
        default: None,
    };
    /// Static group membership.
    pub static GROUP_INSTANCE_ID: Var = Var {
        name: "GROUP_INSTANCE_ID",
        what: "A name for this instance that stays over restarts, so that a restart moves no partitions.",
        expected: "a name that no other instance of the service has",
        example: "order-svc-0",
        default: None,
    };
    /// The format of the log.
    pub static LOG_FORMAT: Var = Var {
        name: "LOG_FORMAT",
        what: "How the log is written: for people or for machines.",
        expected: "auto (pretty on a terminal, else json), pretty or json",
        example: "json",
        default: Some("auto"),
    };
    /// The filter of the log.
    pub static RUST_LOG: Var = Var {
        name: "RUST_LOG",
        what: "What is logged.",
        expected: "a level, or directives such as info,service_kit=debug",
        example: "info",
        default: Some("info"),
    };
}

/// Where and how a service listens.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address and port; port 0 takes a free one.
    pub addr: SocketAddr,
    /// The variable that sets the address, for error messages.
    pub variable: &'static str,
    /// Limits on what the clients may use.
    pub limits: crate::http::Limits,
    /// How long a request may take before it is answered with 503.
    pub answer_within: Duration,
}

/// Twice the database's lock timeout, so that a request that waits for a lock gets an answer from the database first.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

impl From<SocketAddr> for HttpConfig {
    fn from(addr: SocketAddr) -> Self {
        let limits = crate::http::Limits::default();
        Self { addr, variable: "HTTP_ADDR", limits, answer_within: ANSWER_WITHIN }
    }
}

impl HttpConfig {
    /// Reads the address from `var`, whose default is the service's own.
    pub fn read(reader: &mut Reader, var: &'static super::Var) -> Option<Self> {
        reader.read(var).map(|addr: SocketAddr| Self { variable: var.name, ..addr.into() })
    }
}

/// The service's database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// The URL; it is secret because it may hold a password.
    pub url: SecretString,
    /// The size of the pool.
    pub pool_size: usize,
}

impl DatabaseConfig {
    /// Reads `DATABASE_URL` and `DATABASE_POOL_SIZE`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url = reader.secret(&vars::DATABASE_URL).filter(|url| match crate::pool::check(url.expose_secret()) {
            Ok(()) => true,
            Err(why) => {
                reader.refuse(&vars::DATABASE_URL, why);
                false
            }
        });
        let pool_size = reader.read::<usize>(&vars::DATABASE_POOL_SIZE).filter(|size| {
            let fits = (2..=200).contains(size);
            if !fits {
                reader.refuse(&vars::DATABASE_POOL_SIZE, size);
            }
            fits
        });
        Some(Self { url: url?, pool_size: pool_size? })
    }
}

/// The brokers.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// Their addresses and the security of the connection.
    pub brokers: Brokers,
    /// Makes the consumer a static member, if given.
    pub group_instance_id: Option<String>,
}

impl KafkaConfig {
    /// Reads the variables of [`Brokers::read`], and `GROUP_INSTANCE_ID`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let brokers = Brokers::read(reader);
        let group_instance_id = reader.optional(&vars::GROUP_INSTANCE_ID);
        Some(Self { brokers: brokers?, group_instance_id: group_instance_id? })
    }
}

/// Comma-separated hosts, each with its port.
pub(crate) struct Bootstrap(pub String);

impl FromStr for Bootstrap {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let server = |server: &str| {
            server.trim().rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        };
        if text.split(',').all(server) { Ok(Self(text.to_owned())) } else { Err("every part needs a host and a port") }
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

impl FromStr for LogFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("no such format"),
        }
    }
}

/// The log's format and filter.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// The format.
    pub format: LogFormat,
    /// The filter's directives.
    pub filter: String,
}

impl TelemetryConfig {
    /// Reads `LOG_FORMAT` and `RUST_LOG`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let format = reader.read(&vars::LOG_FORMAT);
        let filter = reader.read::<Filter>(&vars::RUST_LOG);
        Some(Self { format: format?, filter: filter?.0 })
    }
}

struct Filter(String);

impl FromStr for Filter {
    type Err = tracing_subscriber::filter::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        tracing_subscriber::EnvFilter::try_new(text).map(|_| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_url_must_name_a_database_and_its_password_is_never_shown() {
        for bad in ["nonsense", "mysql://a:hunter2@b/c", "postgres://a:hunter2@b/"] {
            let mut reader = Reader::from_pairs([("DATABASE_URL", bad)]);
            assert!(DatabaseConfig::read(&mut reader).is_none());
            let told = reader.finish().unwrap_err().to_string();
            assert!(told.contains("DATABASE_URL is refused") && !told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn brokers_need_a_host_and_a_port() {
        for (text, good) in
            [("a:9092,b:9093", true), ("[::1]:9092", true), ("a", false), ("a:0", false), ("a:1,", false)]
        {
            assert_eq!(text.parse::<Bootstrap>().is_ok(), good, "{text}");
        }
    }
}
