//! All SQL of stock-svc. Functions take a connection that is in a transaction where they lock.

pub mod answers;
pub mod books;
pub mod categories;
pub mod dead_letters;
pub mod levels;
pub mod movements;
pub mod products;
pub mod reservations;
pub mod roots;
pub mod shipments;

use chrono::{DateTime, Utc};
use diesel::result::Error;
use diesel::sql_types::Timestamptz;
use diesel::{IntoSql, QueryResult};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The time of this transaction by the database's clock, which timers go by too.
///
/// # Errors
/// The database's.
pub async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::now.into_sql::<Timestamptz>()).get_result(conn).await
}

/// A column's JSON as what this build writes there.
fn from_json<T: DeserializeOwned>(value: Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(|error| Error::DeserializationError(error.into()))
}

fn to_json(value: &impl Serialize) -> QueryResult<Value> {
    serde_json::to_value(value).map_err(|error| Error::SerializationError(error.into()))
}

/// A column's text as the value type that was written there.
fn parsed<T: std::str::FromStr>(text: &str) -> QueryResult<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| Error::DeserializationError(error.into()))
}

/// A row that no version of this service writes.
fn unreadable(what: impl Into<String>) -> Error {
    Error::DeserializationError(what.into().into())
}
