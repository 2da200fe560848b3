//! All SQL of the service.

pub mod answers;
pub mod calls;
mod dead_letters;
pub mod ledger;
pub mod look_ups;
pub mod payments;
pub mod roots;
pub mod webhooks;

pub use dead_letters::DeadLetters;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// The time of this transaction by the database's clock, which timers go by too.
pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::now.into_sql::<Timestamptz>()).get_result(conn).await
}
