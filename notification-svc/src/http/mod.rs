mod access;
mod examples;
mod notifications;

pub use access::ACCESS;
use actix_web::web::{Data, ServiceConfig};
use service_kit::Pool;
use service_kit::http::openapi::Document;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(title = "notification-svc", description = "What customers are told, and whether it reached them."),
    paths(notifications::list, notifications::show),
    tags((name = "notifications", description = "Notifications to customers."))
)]
struct Api;

pub fn routes(pool: Pool) -> serde_json::Result<impl Fn(&mut ServiceConfig) + Clone + Send + 'static> {
    let (pool, document) = (Data::new(pool), Document::of(Api::openapi(), &[], ACCESS)?);
    Ok(move |config: &mut ServiceConfig| {
        document.routes(config, &pool);
        config.app_data(pool.clone()).configure(notifications::routes);
    })
}
