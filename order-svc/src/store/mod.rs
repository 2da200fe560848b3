//! All SQL of the service but for what the kit and the outbox bring along.

pub mod answers;
mod dead_letters;
mod error;
pub mod history;
pub mod orders;
pub mod products;
pub mod roots;
mod rows;
mod save;

pub use dead_letters::DeadLetters;
pub use error::AnnounceError;
pub use roots::Root;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// The time of this transaction by the database's clock. Timers go by it too, so a host whose clock is wrong times
/// nothing out.
///
/// # Errors
/// The database's.
pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::now.into_sql::<Timestamptz>()).get_result(conn).await
}
