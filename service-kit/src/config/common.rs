use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Reader;
use crate::http::{Hosts, Origins, PerMinute, RateLimit};
use crate::kafka::Brokers;
use crate::trace::TracingConfig;

/// The variables that every service reads.
pub mod vars {
    use super::super::Var;

    /// Where PostgreSQL is.
    pub static DATABASE_URL: Var = Var {
        name: "DATABASE_URL",
        what: "The service's own database. `sslmode` and `sslrootcert` mean what they mean to libpq: `?sslmode=verify-full&sslrootcert=/etc/ca.pem` believes only a server whose certificate is of this CA and for this host name; the default, `prefer`, uses TLS if the server has it and checks nothing. Several hosts (`a:5432,b:5432`) are tried in their order.",
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
    /// Where operators are answered.
    pub static OPS_ADDR: Var = Var {
        name: "OPS_ADDR",
        what: "An address of its own for /readyz and /metrics, which HTTP_ADDR then does not answer. /healthz is at both.",
        expected: "an address and a port; port 0 takes a free one",
        example: "127.0.0.1:9180",
        default: None,
    };
    /// The names under which the service answers.
    pub static ALLOWED_HOSTS: Var = Var {
        name: "ALLOWED_HOSTS",
        what: "The hosts that requests may be for, by their header Host; others are answered with 421. Where it is not set: localhost, 127.0.0.1 and [::1] on loopback, any elsewhere.",
        expected: "host names or addresses without a port, several with commas between, or *",
        example: "shop.example.com,localhost",
        default: None,
    };
    /// The pages that may use the API.
    pub static CORS_ORIGINS: Var = Var {
        name: "CORS_ORIGINS",
        what: "The origins whose pages may use the API from a browser; none when it is not set.",
        expected: "http or https origins, several with commas between",
        example: "https://shop.example.com,http://localhost:5173",
        default: None,
    };
    /// The limit on what costs money.
    pub static RATE_LIMIT: Var = Var {
        name: "RATE_LIMIT",
        what: "How many orders or refunds a client may ask for in a minute, and as many at once; what is more is answered with 429. A client is an address, and whoever a token names. Where it is not set: off on loopback, 600 elsewhere.",
        expected: "off, or a whole number above 0",
        example: "120",
        default: None,
    };
    /// The proxies before the service.
    pub static TRUSTED_PROXIES: Var = Var {
        name: "TRUSTED_PROXIES",
        what: "The proxies through which clients come: the last address in X-Forwarded-For that is none of these is the client's. Without it, a client's address is that of its connection.",
        expected: "addresses or networks, several with commas between",
        example: "10.0.0.0/8,192.168.1.1",
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
    /// That nothing here is real.
    pub static SANDBOX: Var = Var {
        name: "SANDBOX",
        what: "1 says that this is for trying out: secrets and passwords may be those that everybody knows, and an issuer's keys come over http, also where others than this machine's programs reach the service.",
        expected: "1 or 0",
        example: "1",
        default: Some("0"),
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
    /// An address of their own for `/readyz` and `/metrics`.
    pub ops: Option<SocketAddr>,
    /// The hosts that requests may be for.
    pub allowed_hosts: Hosts,
    /// The origins whose pages may use the API.
    pub origins: Origins,
    /// How often a client may ask for what costs money.
    pub rate_limit: RateLimit,
}

/// Twice the database's lock timeout, so that a request that waits for a lock gets an answer from the database first.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

impl From<SocketAddr> for HttpConfig {
    fn from(addr: SocketAddr) -> Self {
        Self {
            addr,
            variable: "HTTP_ADDR",
            limits: crate::http::Limits::default(),
            answer_within: ANSWER_WITHIN,
            ops: None,
            allowed_hosts: Hosts::of(addr),
            origins: Origins::default(),
            rate_limit: RateLimit::of(addr),
        }
    }
}

impl HttpConfig {
    /// Reads the address from `var`, whose default is the service's own, and who may use it from where.
    pub fn read(reader: &mut Reader, var: &'static super::Var) -> Option<Self> {
        let listen = Self::address(reader, var);
        let ops = reader.optional(&vars::OPS_ADDR);
        let hosts = reader.optional(&vars::ALLOWED_HOSTS);
        let origins = reader.optional(&vars::CORS_ORIGINS);
        let per_minute = reader.optional(&vars::RATE_LIMIT);
        let proxies = reader.optional(&vars::TRUSTED_PROXIES);
        let mut listen = listen?;
        listen.ops = ops?;
        listen.allowed_hosts = hosts?.unwrap_or(listen.allowed_hosts);
        listen.origins = origins?.unwrap_or_default();
        if let Some(PerMinute(per_minute)) = per_minute? {
            listen.rate_limit.per_minute = per_minute;
        }
        listen.rate_limit.proxies = proxies?.unwrap_or_default();
        Some(listen)
    }

    /// Reads the address alone, for a server without an API, and `SANDBOX`.
    pub fn address(reader: &mut Reader, var: &'static super::Var) -> Option<Self> {
        let addr = reader.read::<SocketAddr>(var);
        let is_sandbox = reader.read::<OneOrZero>(&vars::SANDBOX);
        let (addr, OneOrZero(is_sandbox)) = (addr?, is_sandbox?);
        if !is_sandbox && !is_loopback(addr) {
            reader.exposed(addr);
        }
        Some(Self { variable: var.name, ..addr.into() })
    }
}

/// Whether only this machine's programs reach the address.
pub(crate) fn is_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

struct OneOrZero(bool);

impl FromStr for OneOrZero {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1" => Ok(Self(true)),
            "0" => Ok(Self(false)),
            _ => Err("neither 1 nor 0"),
        }
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

/// The log's format and filter, and where spans go.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// The format.
    pub format: LogFormat,
    /// The filter's directives.
    pub filter: String,
    /// Where spans go; nowhere when there is none.
    pub tracing: Option<TracingConfig>,
}

impl TelemetryConfig {
    /// Reads `LOG_FORMAT`, `RUST_LOG` and the variables of tracing.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let format = reader.read(&vars::LOG_FORMAT);
        let filter = reader.read::<Filter>(&vars::RUST_LOG);
        let tracing = TracingConfig::read(reader);
        Some(Self { format: format?, filter: filter?.0, tracing: tracing? })
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
    fn secrets_that_everybody_knows_are_refused_where_others_reach_the_service() {
        static HTTP_ADDR: crate::config::Var = crate::config::Var::http_addr("127.0.0.1:0", "127.0.0.1:0");
        let start = |addr: &str, sandbox: &str, password: &str| {
            let url = format!("postgres://order_svc:{password}@db/order_svc");
            let given = [("HTTP_ADDR", addr), ("SANDBOX", sandbox), ("DATABASE_URL", url.as_str())];
            // Whichever is read first.
            let orders: [fn(&mut Reader) -> Option<()>; 2] = [
                |reader| HttpConfig::read(reader, &HTTP_ADDR).zip(DatabaseConfig::read(reader)).map(drop),
                |reader| DatabaseConfig::read(reader).zip(HttpConfig::read(reader, &HTTP_ADDR)).map(drop),
            ];
            let told = orders.map(|read| Reader::from_pairs(given).whole(read).map_err(|error| error.to_string()));
            assert_eq!(told[0], told[1]);
            told[0].clone()
        };
        for addr in ["0.0.0.0:8080", "[::]:8080", "10.0.0.7:8080"] {
            let told = start(addr, "", "order").unwrap_err();
            assert!(told.contains("DATABASE_URL is refused: everybody knows this secret"), "{told}");
            assert!(told.contains(addr) && told.contains("SANDBOX=1") && !told.contains(":order@"), "{told}");
            assert_eq!(start(addr, "1", "order"), Ok(()));
            assert_eq!(start(addr, "0", "a-password-of-ours"), Ok(()));
        }
        for addr in ["127.0.0.1:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert_eq!(start(addr, "0", "order"), Ok(()), "{addr}");
        }
        assert!(start("127.0.0.1:8080", "yes", "mine").unwrap_err().contains("SANDBOX is \"yes\""));
    }

    #[test]
    fn what_is_let_in_is_read_and_what_can_not_be_is_named() {
        static HTTP_ADDR: crate::config::Var = crate::config::Var::http_addr("127.0.0.1:0", "127.0.0.1:0");
        let read = |pairs: [(&str, &str); 4]| {
            let read = Reader::from_pairs(pairs).whole(|reader| HttpConfig::read(reader, &HTTP_ADDR));
            read.map_err(|error| error.to_string())
        };
        let [hosts, origins, rate, proxies] = ["ALLOWED_HOSTS", "CORS_ORIGINS", "RATE_LIMIT", "TRUSTED_PROXIES"];
        let listen = read([(hosts, "a.example,b.example"), (origins, ""), (rate, "7"), (proxies, "10.0.0.1")]).unwrap();
        assert_eq!(listen.allowed_hosts, "a.example,b.example".parse().unwrap());
        assert_eq!((listen.origins, listen.rate_limit.per_minute.map(u32::from)), (Origins::default(), Some(7)));
        assert_eq!(listen.rate_limit.proxies, "10.0.0.1".parse().unwrap());
        let told = read([(hosts, "a:1"), (origins, "*"), (rate, "0"), (proxies, "proxy")]).unwrap_err();
        for name in [hosts, origins, rate, proxies] {
            assert!(told.contains(&format!("{name} is \"")), "{told}");
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
