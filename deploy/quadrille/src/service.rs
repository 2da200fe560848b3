//! The programs of the shop, by name.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A program that this binary holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// Places, tracks and cancels orders.
    OrderSvc,
    /// Catalogue, stock, reservations, shipments.
    StockSvc,
    /// Authorise, capture, void, refund.
    PaymentSvc,
    /// Mails to customers.
    NotificationSvc,
    /// A payment gateway to play with.
    SandboxGateway,
    /// The relay that stands by for all databases.
    OutboxRelay,
    /// An issuer of tokens to play with.
    SandboxIssuer,
}

impl Service {
    /// All that every shop has, in the order in which they are started.
    pub const ALL: [Service; 6] = [
        Service::SandboxGateway,
        Service::StockSvc,
        Service::OrderSvc,
        Service::PaymentSvc,
        Service::NotificationSvc,
        Service::OutboxRelay,
    ];

    /// The four that speak and hear events, each with an outbox.
    pub const WITH_OUTBOX: [Service; 4] =
        [Service::OrderSvc, Service::StockSvc, Service::PaymentSvc, Service::NotificationSvc];

    /// Its name, which is also its consumer group's.
    pub const fn name(self) -> &'static str {
        match self {
            Service::OrderSvc => "order-svc",
            Service::StockSvc => "stock-svc",
            Service::PaymentSvc => "payment-svc",
            Service::NotificationSvc => "notification-svc",
            Service::SandboxGateway => "sandbox-gateway",
            Service::OutboxRelay => "outbox-relay",
            Service::SandboxIssuer => "sandbox-issuer",
        }
    }

    /// The database it owns.
    pub const fn database(self) -> Option<&'static str> {
        match self {
            Service::OrderSvc => Some("order_svc"),
            Service::StockSvc => Some("stock_svc"),
            Service::PaymentSvc => Some("payment_svc"),
            Service::NotificationSvc => Some("notification_svc"),
            Service::SandboxGateway => Some("sandbox_gateway"),
            Service::SandboxIssuer => Some("sandbox_issuer"),
            Service::OutboxRelay => None,
        }
    }

    /// Where it listens when nothing else is said.
    pub const fn default_port(self) -> u16 {
        match self {
            Service::OrderSvc => 8080,
            Service::PaymentSvc => 8081,
            Service::StockSvc => 8082,
            Service::NotificationSvc => 8083,
            Service::SandboxGateway => 8090,
            Service::SandboxIssuer => 8091,
            Service::OutboxRelay => 9464,
        }
    }
}
