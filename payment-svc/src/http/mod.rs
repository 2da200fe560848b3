//! The HTTP interface: reading. Money moves by events alone.

mod payments;

use actix_web::web::{self, Data, ServiceConfig};
use service_kit::Pool;

/// What the handlers share.
#[derive(Clone)]
pub struct AppState {
    /// The service's database.
    pub pool: Pool,
}

/// All routes.
pub fn routes(config: &mut ServiceConfig, state: &AppState) {
    config
        .app_data(Data::new(state.clone()))
        .route("/api/v1/payments", web::get().to(payments::list))
        .route("/api/v1/payments/{id}", web::get().to(payments::show));
}
