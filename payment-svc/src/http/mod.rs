//! The HTTP interface: reading, refunds by staff, and what the gateway tells by webhook.

mod payments;
mod refunds;
mod webhooks;

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use service_kit::{Pool, outside};

use crate::{gateway::Stripe, webhooks::Secrets};

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The service's database.
    pub pool: Pool,
    /// Where is looked up what a webhook tells of.
    pub gateway: Arc<Stripe>,
    /// What webhooks are signed with; none is believed without.
    pub webhook_secrets: Option<Secrets>,
    /// Wakes the relay.
    pub relay: outbox_relay::Nudge,
    /// Wakes the worker that calls the gateway.
    pub calls: outside::Nudge,
}

/// All routes.
pub fn routes(config: &mut ServiceConfig, state: &AppState) {
    config
        .app_data(Data::new(state.clone()))
        .route("/api/v1/payments", web::get().to(payments::list))
        .route("/api/v1/payments/webhooks/stripe", web::post().to(webhooks::stripe))
        .route("/api/v1/payments/{id}/refunds", web::post().to(refunds::refund))
        .route("/api/v1/payments/{id}", web::get().to(payments::show));
}
