//! What people ask of stock-svc, a file a use case. Each opens its transaction and appends to the outbox in it.

mod add_category;
mod add_product;
mod adjust_stock;
mod change_product;
mod move_shipment;
mod once;
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

use crate::domain::Refused;

/// Which versions of a product a change may be made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever it is.
    Any,
    /// One that the client has seen.
    OneOf(Vec<i64>),
}

impl Expected {
    /// Whether a change may be made to this version.
    ///
    /// # Errors
    /// It is another than was expected.
    pub fn met_by(&self, version: i64) -> Result<(), CommandError> {
        match self {
            Self::OneOf(seen) if !seen.contains(&version) => Err(CommandError::Changed { version }),
            _ => Ok(()),
        }
    }
}

/// Why a command did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// What it was to be done to isn't there.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The state machine doesn't allow it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is one of that name or SKU, said for people.
    #[error("{0}")]
    AlreadyThere(String),
    /// There would be fewer pieces than are held, said for people.
    #[error("{0}")]
    BelowHeld(String),
    /// A product is to stand in a category that isn't there.
    #[error("there is no category {0}; expected the id of one, or null")]
    UnknownCategory(uuid::Uuid),
    /// It is no longer what the client has seen.
    #[error("it has changed meanwhile: this is version {version}")]
    Changed {
        /// What it is now.
        version: i64,
    },
    /// The key belongs to another request.
    #[error("the Idempotency-Key was used for another request")]
    OtherRequest,
    /// The same key is being worked on.
    #[error("a request with this Idempotency-Key is being worked on")]
    InFlight,
    /// A value that only the database could tell to be wrong.
    #[error("{field}: {message}")]
    BadInput {
        /// Its path in the request.
        field: &'static str,
        /// What was given and what was expected.
        message: String,
    },
    /// No connection.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DieselError),
    /// What is to be announced could not be appended.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The answer could not be written.
    #[error(transparent)]
    Answer(#[from] serde_json::Error),
}

/// `NotFound` of the database as what wasn't found.
fn found<T>(result: Result<T, DieselError>, what: &'static str) -> Result<T, CommandError> {
    result.map_err(|error| match error {
        DieselError::NotFound => CommandError::NotFound(what),
        other => other.into(),
    })
}
