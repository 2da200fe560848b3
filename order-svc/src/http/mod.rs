//! HTTP: request, command, answer or problem.

mod events;
mod history;
mod orders;
mod problem;
mod request;
mod view;

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use outbox_relay::Nudge;
use service_kit::Pool;

use crate::live::Live;
use crate::prices::PricesKnown;

/// What handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The service's database.
    pub pool: Pool,
    /// How long an order may stay pending.
    pub deadline: Duration,
    /// Whether `products.v1` was read once.
    pub prices_known: PricesKnown,
    /// Wakes the relay after a commit.
    pub nudge: Nudge,
    /// Where streams of events are opened.
    pub live: Live,
}

/// The routes of the service.
pub fn routes(state: web::Data<AppState>) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config.app_data(state.clone()).service(
            web::scope("/api/v1/orders")
                .service(web::resource("").route(web::post().to(orders::place)).route(web::get().to(orders::list)))
                .service(web::resource("/{id}").route(web::get().to(orders::get)))
                .service(web::resource("/{id}/events").route(web::get().to(events::get)))
                .service(web::resource("/{id}/history").route(web::get().to(history::get)))
                .service(web::resource("/{id}/delivery-address").route(web::put().to(orders::redirect)))
                .service(web::resource("/{id}/cancel").route(web::post().to(orders::cancel))),
        );
    }
}
