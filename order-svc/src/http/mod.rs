//! The HTTP API: a request becomes a command, and its result an answer or a problem.

mod access;
mod customers;
mod events;
mod examples;
mod forget;
mod guests;
mod history;
mod orders;
mod overdue;
mod problem;
mod request;
mod theirs;
mod view;

pub use access::ACCESS;

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use outbox_relay::Nudge;
use service_kit::Pool;
use service_kit::auth::GuestLinks;
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
    /// None if orders need an account.
    pub guests: Option<GuestLinks>,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "order-svc", description = "Places, tracks and cancels orders, and keeps customers' profiles."),
    paths(orders::place, orders::list, orders::get, events::get, history::get, orders::redirect, orders::cancel,
        orders::call_off, overdue::list, customers::get_mine, customers::set_mine, customers::get, customers::set, forget::forget),
    tags((name = "orders", description = "Customers' orders and their progress."),
        (name = "customers", description = "What orders and messages of a customer go by."))
)]
struct Api;

/// The server's limits. Streams stay open, so their connections are added to those for other requests.
pub fn limits() -> Limits {
    let limits = Limits::default();
    Limits { connections: limits.connections + MOST, ..limits }
}

pub fn routes(state: web::Data<AppState>) -> serde_json::Result<impl Fn(&mut ServiceConfig) + Clone + Send + 'static> {
    let document = Document::of(Api::openapi(), problem::OrderCode::ALL, ACCESS)?;
    Ok(move |config: &mut ServiceConfig| {
        document.routes(config, &state.pool);
        config.app_data(state.clone()).service(
            web::scope("/api/v1/customers")
                .service(web::resource("/me").get(customers::get_mine).put(customers::set_mine))
                .service(web::resource("/{id}").get(customers::get).put(customers::set))
                .service(web::resource("/{id}/forget").post(forget::forget)),
        );
        config.service(web::resource("/api/v1/overdue-orders").route(web::get().to(overdue::list)));
        config.service(
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
