//! The HTTP API: a request becomes a command, and its result an answer or a problem.

mod events;
mod examples;
mod history;
mod orders;
mod problem;
mod request;
mod view;

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use outbox_relay::Nudge;
use service_kit::Pool;
use service_kit::http::{Limits, openapi::Document};
use utoipa::OpenApi;

use crate::live::{Live, MOST};
use crate::prices::PricesKnown;

#[derive(Clone)]
pub struct AppState {
    pub pool: Pool,
    /// How long an order may stay pending.
    pub deadline: Duration,
    pub prices_known: PricesKnown,
    pub nudge: Nudge,
    pub live: Live,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "order-svc", description = "Places, tracks and cancels orders."),
    paths(orders::place, orders::list, orders::get, events::get, history::get, orders::redirect, orders::cancel,
        orders::call_off),
    tags((name = "orders", description = "Customers' orders and their progress."))
)]
struct Api;

/// The server's limits. Streams stay open, so their connections are added to those for other requests.
pub fn limits() -> Limits {
    let limits = Limits::default();
    Limits { connections: limits.connections + MOST, ..limits }
}

pub fn routes(state: web::Data<AppState>) -> serde_json::Result<impl Fn(&mut ServiceConfig) + Clone + Send + 'static> {
    let document = Document::of(Api::openapi(), problem::OrderCode::ALL)?;
    Ok(move |config: &mut ServiceConfig| {
        document.routes(config);
        config.app_data(state.clone()).service(
            web::scope("/api/v1/orders")
                .service(web::resource("").route(web::post().to(orders::place)).route(web::get().to(orders::list)))
                .service(web::resource("/{id}").route(web::get().to(orders::get)))
                .service(web::resource("/{id}/events").route(web::get().to(events::get)))
                .service(web::resource("/{id}/history").route(web::get().to(history::get)))
                .service(web::resource("/{id}/delivery-address").route(web::put().to(orders::redirect)))
                .service(web::resource("/{id}/call-off").route(web::post().to(orders::call_off)))
                .service(web::resource("/{id}/cancel").route(web::post().to(orders::cancel))),
        );
    })
}
