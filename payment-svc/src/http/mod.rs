//! The HTTP interface: reading, refunds by staff, and what the gateway tells by webhook.

mod access;
mod examples;
mod payments;
mod refunds;
mod webhooks;

pub use access::ACCESS;
use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use service_kit::{Pool, external_calls, http::openapi::Document};
use utoipa::OpenApi;

use crate::{gateway::Stripe, webhooks::Secrets};

#[derive(Clone)]
pub struct AppState {
    pub pool: Pool,
    pub gateway: Arc<Stripe>,
    /// Without any, no webhook is believed.
    pub webhook_secrets: Option<Secrets>,
    pub relay: outbox_relay::Nudge,
    /// Wakes the worker that calls the gateway.
    pub calls: external_calls::Nudge,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "payment-svc", description = "Authorises, captures, voids and refunds, and keeps the ledger."),
    paths(payments::list, payments::show, refunds::refund, refunds::settle_outside, webhooks::stripe),
    tags(
        (name = "payments", description = "One for each order."),
        (name = "webhooks", description = "What the gateway tells.")
    )
)]
struct Api;

pub fn routes(state: AppState) -> serde_json::Result<impl Fn(&mut ServiceConfig) + Clone + Send + 'static> {
    let webhooks = Data::new(webhooks::Receiver::default());
    let (state, document) = (Data::new(state), Document::of(Api::openapi(), refunds::PaymentCode::ALL, ACCESS)?);
    Ok(move |config: &mut ServiceConfig| {
        document.routes(config, &state.pool);
        config
            .app_data(state.clone())
            .app_data(webhooks.clone())
            .service(web::resource("/api/v1/payments").get(payments::list))
            .service(web::resource("/api/v1/payments/webhooks/stripe").post(webhooks::stripe))
            .service(web::resource("/api/v1/payments/{id}/refunds").post(refunds::refund))
            .service(
                web::resource("/api/v1/payments/{id}/refunds/{refund_id}/settle-outside").post(refunds::settle_outside),
            )
            .service(web::resource("/api/v1/payments/{id}").get(payments::show));
    })
}
