//! The configuration of stock-svc. It is parsed once and checked as a whole.

use std::time::Duration;

use service_kit::config::{
    ConfigError, DatabaseConfig, HttpConfig, KafkaConfig, Reader, Seconds, TelemetryConfig, Var,
};

/// The variables that only this service reads, and its own default of `HTTP_ADDR`.
pub mod vars {
    use super::Var;

    /// The address.
    pub static HTTP_ADDR: Var = Var {
        name: "HTTP_ADDR",
        what: "Where the service listens.",
        expected: "an address and a port; port 0 takes a free one",
        example: "0.0.0.0:8082",
        default: Some("127.0.0.1:8082"),
    };
    /// How long stock is held.
    pub static RESERVATION_TTL: Var = Var {
        name: "RESERVATION_TTL",
        what: "How long stock is held for an order that is not confirmed.",
        expected: "a duration from 1s to 24h, longer than payment-svc's PAYMENT_DEADLINE",
        example: "15m",
        default: Some("15m"),
    };
}

#[derive(Clone, Debug)]
pub struct Config {
    pub http: HttpConfig,
    pub database: DatabaseConfig,
    pub kafka: KafkaConfig,
    pub telemetry: TelemetryConfig,
    /// Where the relay of the outbox runs.
    pub relay: outbox_relay::Mode,
    /// The role to grant access to the outbox, for a relay worker.
    pub relay_role: Option<String>,
    /// How long published rows are kept.
    pub relay_archive: Option<outbox_relay::Archive>,
    /// How long stock is held for a pending order.
    pub reservation_ttl: Duration,
}

impl Config {
    /// Reads all variables and notes all problems.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let http = HttpConfig::read(reader, &vars::HTTP_ADDR);
        let database = DatabaseConfig::read(reader);
        let kafka = KafkaConfig::read(reader);
        let telemetry = TelemetryConfig::read(reader);
        let relay = reader.read(&outbox_relay::vars::RELAY);
        let relay_role = reader.optional(&outbox_relay::vars::OUTBOX_RELAY_ROLE);
        let relay_archive = reader.optional(&outbox_relay::vars::OUTBOX_RELAY_ARCHIVE);
        let reservation_ttl = reservation_ttl(reader);
        Some(Self {
            http: http?,
            database: database?,
            kafka: kafka?,
            telemetry: telemetry?,
            relay: relay?,
            relay_role: relay_role?,
            relay_archive: relay_archive?,
            reservation_ttl: reservation_ttl?,
        })
    }

    pub fn from_env() -> Result<Self, ConfigError> {
        Reader::from_env().whole(Self::read)
    }
}

fn reservation_ttl(reader: &mut Reader) -> Option<Duration> {
    let Seconds(ttl) = reader.read(&vars::RESERVATION_TTL)?;
    if (Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60)).contains(&ttl) {
        Some(ttl)
    } else {
        reader.refuse(&vars::RESERVATION_TTL, format!("{} s", ttl.as_secs_f64()));
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 2] =
        [("DATABASE_URL", "postgres://a:b@c/stock"), ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")];

    #[test]
    fn a_hold_lasts_a_quarter_of_an_hour_unless_told_otherwise() {
        let config = Reader::from_pairs(GOOD).whole(Config::read).unwrap();
        assert_eq!(config.reservation_ttl, Duration::from_secs(15 * 60));
        assert_eq!(config.http.addr.port(), 8082);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let pairs = [("RESERVATION_TTL", "0s"), ("RELAY", "sometimes"), ("HTTP_ADDR", "here")];
        let told = Reader::from_pairs(pairs).whole(Config::read).unwrap_err().to_string();
        for name in ["RESERVATION_TTL", "RELAY", "HTTP_ADDR", "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"] {
            assert!(told.contains(name), "{name} in {told}");
        }
    }
}
