//! `quadrille run SERVICE`: one binary holds all services; each also has its own.

use crate::service::Service;

/// Runs a service until it is told to stop, as its own binary does. An error names every variable that is wrong.
pub async fn run(service: Service) -> anyhow::Result<()> {
    match service {
        Service::OrderSvc => order_svc::run().await,
        Service::StockSvc => stock_svc::run().await,
        Service::PaymentSvc => payment_svc::run().await,
        Service::NotificationSvc => notification_svc::run().await,
        Service::SandboxGateway => sandbox_gateway::run().await,
        Service::OutboxRelay => outbox_relay::run().await,
        Service::SandboxIssuer => sandbox_issuer::run().await,
    }
}
