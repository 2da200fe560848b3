//! The routes of dead letters, which every service has, for operators alone: what is in events is anybody's.

mod changes;
pub(super) mod examples;
mod jobs;
mod letters;

use actix_web::web::{Data, ServiceConfig, resource};
use utoipa::OpenApi;

use crate::Pool;

/// What the routes do, for the document.
#[derive(OpenApi)]
#[openapi(
    paths(letters::list, letters::groups, letters::ended, letters::show, letters::versions,
        changes::dry_run, changes::edit, changes::discard,
        jobs::begin, jobs::list, jobs::show, jobs::pause, jobs::resume, jobs::cancel),
    tags((name = "dead-letters", description = "Events that could not be handled. For operators alone."))
)]
pub(crate) struct Routes;

/// The routes, on the service's own database. `/{id}` comes last: the router takes the first that fits.
pub(crate) fn routes(config: &mut ServiceConfig, pool: &Pool) {
    let at = |path: &str| resource(format!("/api/v1/dead-letters{path}")).app_data(Data::new(pool.clone()));
    config
        .service(at("").get(letters::list))
        .service(at("/groups").get(letters::groups))
        .service(at("/ended").get(letters::ended))
        .service(at("/jobs").get(jobs::list).post(jobs::begin))
        .service(at("/jobs/{id}").get(jobs::show))
        .service(at("/jobs/{id}/pause").post(jobs::pause))
        .service(at("/jobs/{id}/resume").post(jobs::resume))
        .service(at("/jobs/{id}/cancel").post(jobs::cancel))
        .service(at("/{id}").get(letters::show))
        .service(at("/{id}/versions").get(letters::versions))
        .service(at("/{id}/edit").post(changes::edit))
        .service(at("/{id}/discard").post(changes::discard))
        .service(at("/{id}/dry-run").post(changes::dry_run));
}
