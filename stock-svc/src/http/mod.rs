//! The HTTP API: a request becomes a command, and its result an answer or a problem.

mod access;
pub mod catalogue;
mod categories;
mod examples;
mod products;
mod reservations;
mod shipments;
mod views;

pub use access::ACCESS;
use std::time::Duration;

use actix_web::web::{self, Data, ServiceConfig};
use outbox_relay::Nudge;
use service_kit::Pool;
use service_kit::http::Problem;
use service_kit::http::openapi::Document;
use utoipa::OpenApi;

use self::catalogue::Catalogue;
use crate::commands::CommandError;

/// The `Cache-Control` of the catalogue, which is nobody's own: it may be kept, and is asked for anew.
const FOR_ALL: &str = "no-cache";

#[derive(Clone)]
pub struct AppState {
    pub pool: Pool,
    pub nudge: Nudge,
    /// The pages of the catalogue.
    pub catalogue: Catalogue,
}

impl AppState {
    /// Keeps pages of the catalogue for so long.
    pub fn new(pool: Pool, nudge: Nudge, pages_kept: Duration) -> Self {
        let catalogue = Catalogue::new(pool.clone(), nudge.clone(), pages_kept);
        Self { pool, nudge, catalogue }
    }
}

#[derive(OpenApi)]
#[openapi(
    info(title = "stock-svc", description = "The catalogue, the stock, reservations and parcels."),
    paths(
        categories::add, categories::list,
        products::add, products::list, products::get, products::change, products::patch, products::withdraw, products::relist, products::adjust,
        products::moved, reservations::list,
        shipments::list, shipments::get, shipments::pack, shipments::split, shipments::dispatch,
        shipments::correct_tracking, shipments::deliver, shipments::take_back, shipments::lose, shipments::call_off
    ),
    tags(
        (name = "categories", description = "Categories of the catalogue."),
        (name = "products", description = "The products of the catalogue and their stock."),
        (name = "reservations", description = "Stock that is reserved for orders."),
        (name = "shipments", description = "Parcels.")
    )
)]
struct Api;

pub fn routes(state: AppState) -> serde_json::Result<impl Fn(&mut ServiceConfig) + Clone + Send + 'static> {
    let (state, document) = (Data::new(state), Document::of(Api::openapi(), StockCode::ALL, ACCESS)?);
    Ok(move |config: &mut ServiceConfig| {
        document.routes(config, &state.pool);
        let api = web::scope("/api/v1")
            .configure(categories::routes)
            .configure(products::routes)
            .configure(reservations::routes)
            .configure(shipments::routes);
        config.app_data(state.clone()).service(api);
    })
}

service_kit::problem_codes! {
    /// The codes of problems that only this service has: 422 for `UnknownCategory` and `SkuTwice`, else 409.
    pub enum StockCode {
        /// The product, category or parcel is not in a state in which this is possible.
        WrongState = "wrong_state",
        /// The name or the SKU is taken.
        AlreadyThere = "already_there",
        /// There would be less stock than is held.
        BelowHeld = "below_held",
        UnknownCategory = "unknown_category",
        SkuTwice = "sku_twice",
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Problem {
        match error {
            CommandError::NotFound(what) => Problem::not_found(format!("There is no such {what}.")),
            CommandError::Refused(refused) => Problem::conflict(refused.to_string()).code(StockCode::WrongState),
            CommandError::AlreadyThere(detail) => Problem::conflict(detail).code(StockCode::AlreadyThere),
            CommandError::BelowHeld(detail) => Problem::conflict(detail).code(StockCode::BelowHeld),
            unknown @ CommandError::UnknownCategory(_) => {
                Problem::bad_input("category", unknown.to_string()).code(StockCode::UnknownCategory)
            }
            CommandError::Changed(changed) => changed.into(),
            CommandError::Key(refused) => refused.into(),
            CommandError::BadInput { field, message } => Problem::bad_input(field, message),
            CommandError::Pool(error) => error.into(),
            CommandError::Database(error) => error.into(),
            CommandError::Append(error) => error.into(),
            CommandError::Answer(error) => Problem::internal(error),
        }
    }
}

/// Turns a row that was not found into a 404 that names it.
fn found<T>(result: diesel::QueryResult<T>, what: &'static str) -> Result<T, Problem> {
    result.map_err(|error| match error {
        diesel::result::Error::NotFound => CommandError::NotFound(what).into(),
        other => other.into(),
    })
}
