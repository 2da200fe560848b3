use std::time::Duration;

use outbox_relay::service::ServiceConfig;
use service_kit::config::{Reader, Var};

/// The variables that only this service reads, and its own default of `HTTP_ADDR`.
pub mod vars {
    use super::Var;

    pub static HTTP_ADDR: Var = Var::http_addr("127.0.0.1:8082", "0.0.0.0:8082");
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
    pub service: ServiceConfig,
    /// How long stock is held for a pending order.
    pub reservation_ttl: Duration,
}

impl Config {
    /// None if any variable is wrong; the reader has noted each that is.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let service = ServiceConfig::read(reader, &vars::HTTP_ADDR);
        let day = Duration::from_secs(24 * 60 * 60);
        let reservation_ttl = reader.duration(&vars::RESERVATION_TTL, Duration::from_secs(1)..=day);
        Some(Self { service: service?, reservation_ttl: reservation_ttl? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] =
        [("DATABASE_URL", "postgres://a:b@c/stock"), ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"), ("AUTH", "off")];

    #[test]
    fn a_hold_lasts_a_quarter_of_an_hour_unless_told_otherwise() {
        let config = Reader::from_pairs(GOOD).whole(Config::read).unwrap();
        assert_eq!(config.reservation_ttl, Duration::from_secs(15 * 60));
        assert_eq!(config.service.http.addr.port(), 8082);
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
