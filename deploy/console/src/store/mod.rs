//! All SQL of the console.

pub mod actions;
pub mod events;
pub mod figures;
pub mod money;
pub mod orders;

use diesel::QueryResult;
use diesel::result::Error;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Rows that came as JSON.
fn read<T: DeserializeOwned>(rows: Vec<Value>) -> QueryResult<Vec<T>> {
    let row = |row| serde_json::from_value(row).map_err(|error| Error::DeserializationError(error.into()));
    rows.into_iter().map(row).collect()
}
