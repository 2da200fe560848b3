//! The commands of stock-svc, one use case a file. Each opens its own transaction and appends to the outbox in it.

mod add_category;
mod add_product;
mod adjust_stock;
mod change_product;
mod move_shipment;
mod reannounce;
mod recompute;
mod relist_product;
mod take_back;
mod withdraw_product;

pub use add_category::add_category;
pub use add_product::add_product;
pub use adjust_stock::{AdjustStock, adjust_stock};
pub use change_product::{NewDetails, change_product};
pub use move_shipment::{Step, move_shipment};
pub use reannounce::{Announced, reannounce};
pub use recompute::{Recomputed, Start, recompute};
pub use relist_product::relist_product;
pub use take_back::{TakeBack, take_back};
pub use withdraw_product::withdraw_product;

use diesel::result::Error as DieselError;
use diesel_async::pooled_connection::deadpool::PoolError;
use outbox_relay::AppendError;
use service_kit::idempotency::KeyRefused;
use service_kit::versions::Changed;
pub use service_kit::versions::Expected;

use crate::domain::Refused;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name or the SKU is taken. The text is for people.
    #[error("{0}")]
    AlreadyThere(String),
    /// There would be less stock than is held. The text is for people.
    #[error("{0}")]
    BelowHeld(String),
    #[error("there is no category {0}; expected the id of one, or null")]
    UnknownCategory(uuid::Uuid),
    #[error(transparent)]
    Changed(#[from] Changed),
    #[error(transparent)]
    Key(#[from] KeyRefused),
    /// A value whose error only the stored data reveal.
    #[error("{field}: {message}")]
    BadInput { field: &'static str, message: String },
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Database(#[from] DieselError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Answer(#[from] serde_json::Error),
}

/// Turns the database's `NotFound` into a `NotFound` that names what is missing.
fn found<T>(result: Result<T, DieselError>, what: &'static str) -> Result<T, CommandError> {
    result.map_err(|error| match error {
        DieselError::NotFound => CommandError::NotFound(what),
        other => other.into(),
    })
}
