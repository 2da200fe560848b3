use std::time::Duration;

use outbox_relay::service::ServiceConfig;
use service_kit::auth::{AuthConfig, GuestLinks};
use service_kit::config::{Reader, Var};

/// The variables that only this service reads, and its own default of `HTTP_ADDR`.
pub mod vars {
    use super::Var;

    pub static HTTP_ADDR: Var = Var::http_addr("127.0.0.1:8080", "0.0.0.0:8080");
    pub static ORDER_DEADLINE: Var = Var {
        name: "ORDER_DEADLINE",
        what: "How long an order may stay pending before it is cancelled with the reason timeout.",
        expected: "a duration from 1s to 24h",
        example: "20m",
        default: Some("20m"),
    };
    pub static ORDER_HISTORY_TTL: Var = Var {
        name: "ORDER_HISTORY_TTL",
        what: "How long an order's history is kept after the order has ended.",
        expected: "a duration from 1d to 36500d",
        example: "400d",
        default: Some("400d"),
    };
}

#[derive(Clone, Debug)]
pub struct Config {
    pub service: ServiceConfig,
    /// How long an order may stay pending.
    pub order_deadline: Duration,
    /// How long the history of an order is kept that has ended.
    pub history_ttl: Duration,
    /// Signs the links of guests' orders; none if orders need an account.
    pub guests: Option<GuestLinks>,
}

impl Config {
    /// None if any variable is wrong; the reader has noted each that is.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let service = ServiceConfig::read(reader, &vars::HTTP_ADDR);
        let day = Duration::from_secs(24 * 60 * 60);
        let order_deadline = reader.duration(&vars::ORDER_DEADLINE, Duration::from_secs(1)..=day);
        let history_ttl = reader.time_to_live(&vars::ORDER_HISTORY_TTL);
        let by_token = service.as_ref().is_some_and(|service| service.auth != AuthConfig::Off);
        let guests = GuestLinks::read(reader, by_token);
        let mut service = service?;
        service.http.limits = crate::http::limits();
        Some(Self { service, order_deadline: order_deadline?, history_ttl: history_ttl?, guests: guests? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 3] = [
        ("DATABASE_URL", "postgres://o@127.0.0.1/order_svc"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        ("AUTH", "off"),
    ];

    #[test]
    fn an_order_may_stay_pending_for_twenty_minutes_unless_told_otherwise() {
        let config = Reader::from_pairs(WHOLE).whole(Config::read).unwrap();
        assert_eq!(config.order_deadline, Duration::from_secs(20 * 60));
        assert_eq!(config.service.http.addr.port(), 8080);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let told = Reader::from_pairs([("ORDER_DEADLINE", "0s"), ("RELAY", "none")]).whole(Config::read);
        let told = told.unwrap_err().to_string();
        for name in ["DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "ORDER_DEADLINE", "RELAY"] {
            assert!(told.contains(name), "{told}");
        }
    }
}
