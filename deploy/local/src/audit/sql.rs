//! Rows of a database, all as they were at one moment.

use std::collections::BTreeMap;

use anyhow::Context;
use diesel::{QueryableByName, sql_query, sql_types::Jsonb};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::de::DeserializeOwned;
use serde_json::Value;
use service_kit::pool;

/// A transaction that sees the database as it was when it began, and changes nothing.
pub(crate) struct Snapshot(AsyncPgConnection);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

impl Snapshot {
    /// # Errors
    /// The database can't be reached.
    pub async fn begin(url: &str) -> anyhow::Result<Self> {
        let mut conn = pool::connect_to_read(url).await?;
        conn.batch_execute("begin isolation level repeatable read read only").await?;
        Ok(Self(conn))
    }

    /// Whether a service has made its tables here.
    ///
    /// # Errors
    /// The database's.
    pub async fn is_migrated(&mut self) -> anyhow::Result<bool> {
        let found = self.rows::<BTreeMap<String, bool>>("select to_regclass('outbox') is not null as there").await?;
        Ok(found.iter().any(|row| row["there"]))
    }

    /// What a query answers, column by column.
    ///
    /// # Errors
    /// The database's; or rows are of another shape, as those of another version.
    pub async fn rows<T: DeserializeOwned>(&mut self, query: &str) -> anyhow::Result<Vec<T>> {
        let rows: Vec<Row> = sql_query(format!("select to_jsonb(r) as row from ({query}) r"))
            .load(&mut self.0)
            .await
            .with_context(|| query.to_owned())?;
        let rows = rows.into_iter().map(|row| serde_json::from_value(row.row));
        rows.collect::<Result<_, _>>().with_context(|| query.to_owned())
    }

    /// # Errors
    /// The database's.
    pub async fn end(mut self) -> anyhow::Result<()> {
        Ok(self.0.batch_execute("rollback").await?)
    }
}
