//! What this service answers.

mod notifications;

use actix_web::web::{Data, ServiceConfig};
use service_kit::Pool;

/// The routes, over the database that `pool` reaches.
pub fn routes(pool: Pool) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let pool = Data::new(pool);
    move |config| {
        config.app_data(pool.clone()).configure(notifications::routes);
    }
}
