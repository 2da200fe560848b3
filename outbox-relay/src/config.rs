//! The relay's configuration, and the environment variables it is read from.

use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use service_kit::config::{Reader, Var};
use service_kit::kafka::Brokers;
use service_kit::pool;

use crate::archive::Archive;

/// Variables that a service with an outbox, and the worker, read.
pub mod vars {
    use super::Var;

    /// `RELAY`: whether this process publishes its outbox, or a worker.
    pub static RELAY: Var = Var {
        name: "RELAY",
        what: "Who publishes the outbox: this process, or an outbox-relay worker.",
        expected: "embedded or external",
        example: "embedded",
        default: Some("embedded"),
    };
    /// `OUTBOX_RELAY_ROLE`: the worker's database role.
    pub static OUTBOX_RELAY_ROLE: Var = Var {
        name: "OUTBOX_RELAY_ROLE",
        what: "The database role of an outbox-relay worker: it is granted what it needs of the outbox, and nothing else.",
        expected: "a role that PostgreSQL has; nothing is granted when it is not set",
        example: "order_relay",
        default: None,
    };
    /// `OUTBOX_RELAY_DATABASES`: the databases that the worker publishes.
    pub static OUTBOX_RELAY_DATABASES: Var = Var {
        name: "OUTBOX_RELAY_DATABASES",
        what: "The databases whose outboxes the worker publishes, or stands by for; each as a service's `DATABASE_URL`, `sslmode` and `sslrootcert` included.",
        expected: "PostgreSQL URLs with a database name each, with commas between",
        example: "postgres://app:secret@127.0.0.1:5432/one,postgres://app:secret@127.0.0.1:5432/two",
        default: None,
    };
    /// `METRICS_ADDR`: the address of the worker's HTTP.
    pub static METRICS_ADDR: Var = Var {
        name: "METRICS_ADDR",
        what: "Where the outbox-relay worker answers /healthz, /readyz and /metrics.",
        expected: "an address and a port",
        example: "127.0.0.1:9464",
        default: Some("127.0.0.1:9464"),
    };
    /// `OUTBOX_RELAY_ARCHIVE`: how long published rows are kept.
    pub static OUTBOX_RELAY_ARCHIVE: Var = Var {
        name: "OUTBOX_RELAY_ARCHIVE",
        what: "How long published rows stay in outbox_archive, from where outbox-relay republish sends them again.",
        expected: "a duration from 1m to 3650d; published rows are deleted when it is not set",
        example: "7d",
        default: None,
    };
    /// `OUTBOX_RELAY_TRACE_HEADER`: the header that carries a row's trace context.
    pub static OUTBOX_RELAY_TRACE_HEADER: Var = Var {
        name: "OUTBOX_RELAY_TRACE_HEADER",
        what: "The header of a row that carries its W3C trace context; the record gets a plain traceparent from it.",
        expected: "the name of a header",
        example: "ce_traceparent",
        default: Some("ce_traceparent"),
    };
}

/// Who publishes a service's outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// This process publishes, or stands by while another does.
    Embedded,
    /// A worker publishes; this process only wakes it.
    External,
}

impl Mode {
    /// Reads `RELAY`.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        reader.read(&vars::RELAY)
    }
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "external" => Ok(Self::External),
            _ => Err("no such mode"),
        }
    }
}

/// The configuration of one database's relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The relay's name in metrics and in the log.
    pub name: String,
    /// A direct connection: a session lock does not survive a pooler that changes sessions between transactions.
    pub database_url: SecretString,
    /// The brokers.
    pub brokers: Brokers,
    /// Whether it may publish.
    pub mode: Mode,
    /// The header that carries a row's W3C trace context, where rows have one. The record then gets a plain
    /// `traceparent` of the same trace, with a span of its own.
    pub trace_header: Option<String>,
    /// How long published rows are kept; not at all when there is none.
    pub archive: Option<Archive>,
    /// How much one statement reads.
    pub batch: Bound,
    /// How much may be with the publisher and not acknowledged.
    pub in_flight: Bound,
    /// The longest wait between two reads of an idle table. A nudge tells of a commit at once; this wait bounds how long the
    /// rows of a process wait that died before its nudge.
    pub idle: Duration,
    /// The least time between two looks at the transactions that may still fill a gap.
    pub head_check: Duration,
    /// How often parked rows are looked after, gauges are set and the leader's session is checked.
    pub upkeep: Duration,
    /// How often a relay that stands by tries to lead.
    pub standby: Duration,
    /// A row that stays unacknowledged for so long counts as an outage, even if the Kafka client reports nothing.
    pub silence: Duration,
    /// How long a stop waits for rows that are not acknowledged yet.
    pub drain: Duration,
}

/// A bound in rows and in bytes, whichever is reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The most rows.
    pub rows: usize,
    /// The most bytes of payload, headers and key.
    pub bytes: usize,
}

impl RelayConfig {
    /// A relay within a service, with bounds that suit most.
    pub fn new(name: impl Into<String>, database_url: SecretString, brokers: impl Into<Brokers>) -> Self {
        Self {
            name: name.into(),
            database_url,
            brokers: brokers.into(),
            mode: Mode::Embedded,
            trace_header: None,
            archive: None,
            // Few enough to stay in a core's cache on their way: with 2,000 a row took a
            // tenth more CPU, and the relay twice the memory.
            batch: Bound { rows: 500, bytes: 4 << 20 },
            in_flight: Bound { rows: 10_000, bytes: 16 << 20 },
            idle: Duration::from_secs(2),
            head_check: Duration::from_millis(20),
            upkeep: Duration::from_secs(2),
            standby: Duration::from_millis(1_500),
            silence: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }

    /// The name of the database, by which metrics tell the relays of one outbox from those of others.
    pub(crate) fn database(&self) -> String {
        let place = pool::place(self.database_url.expose_secret());
        place.rsplit_once('/').map_or(String::new(), |(_, database)| database.to_owned())
    }

    /// Changes who publishes.
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Says how long published rows are kept; none: they are deleted.
    #[must_use]
    pub const fn archive(mut self, archive: Option<Archive>) -> Self {
        self.archive = archive;
        self
    }

    /// Names the header that carries a row's trace context.
    #[must_use]
    pub fn trace_header(mut self, name: impl Into<String>) -> Self {
        self.trace_header = Some(name.into());
        self
    }
}
