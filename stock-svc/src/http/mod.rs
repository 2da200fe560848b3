//! HTTP: request, command, answer or problem+json.

mod categories;
mod products;
mod reservations;
mod shipments;
mod views;

use actix_web::web::{self, Data, ServiceConfig};
use outbox_relay::Nudge;
use service_kit::Pool;
use service_kit::http::Problem;

use crate::commands::CommandError;

/// What requests need.
#[derive(Clone)]
pub struct AppState {
    /// The service's database.
    pub pool: Pool,
    /// Wakes the relay after a commit that announced something.
    pub nudge: Nudge,
}

/// All routes of the service.
pub fn routes(state: AppState) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let state = Data::new(state);
    move |config| {
        let api = web::scope("/api/v1")
            .configure(categories::routes)
            .configure(products::routes)
            .configure(reservations::routes)
            .configure(shipments::routes);
        config.app_data(state.clone()).service(api);
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Problem {
        match error {
            CommandError::NotFound(what) => Problem::not_found(format!("There is no such {what}.")),
            CommandError::Refused(refused) => Problem::conflict(refused.to_string()),
            CommandError::Conflict(detail) => Problem::conflict(detail),
            CommandError::BadInput { field, message } => Problem::bad_input(field, message),
            CommandError::Pool(error) => error.into(),
            CommandError::Database(error) => error.into(),
            CommandError::Append(error) => error.into(),
        }
    }
}

/// A row that a read did not find, as what it would have been.
fn found<T>(result: diesel::QueryResult<T>, what: &'static str) -> Result<T, Problem> {
    result.map_err(|error| match error {
        diesel::result::Error::NotFound => CommandError::NotFound(what).into(),
        other => other.into(),
    })
}
