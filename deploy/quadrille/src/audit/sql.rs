//! Rows of a database, all as they were at one moment.

use std::collections::BTreeMap;

use anyhow::Context;
use diesel::{QueryableByName, sql_query, sql_types::Jsonb};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::de::DeserializeOwned;
use serde_json::Value;
use service_kit::pool;

/// Rows that one statement fetches where all of a table are read.
const PAGE: usize = 5_000;

/// A transaction that sees the database as it was when it began, and changes nothing.
pub struct Snapshot(AsyncPgConnection);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    row: Value,
}

impl Snapshot {
    /// Fails if the database can't be reached.
    pub async fn begin(url: &str) -> anyhow::Result<Self> {
        let mut snapshot = Self(pool::connect_to_read(url).await?);
        snapshot.open().await?;
        Ok(snapshot)
    }

    /// Sees from now on what is there now.
    pub async fn open(&mut self) -> anyhow::Result<()> {
        Ok(self.0.batch_execute("begin isolation level repeatable read read only").await?)
    }

    /// Ends the transaction and keeps the connection, to be opened again: between two looks nothing is held.
    pub async fn close(&mut self) -> anyhow::Result<()> {
        Ok(self.0.batch_execute("rollback").await?)
    }

    /// The connection, in its transaction.
    pub fn conn(&mut self) -> &mut AsyncPgConnection {
        &mut self.0
    }

    /// Whether a service has made its tables here.
    pub async fn is_migrated(&mut self) -> anyhow::Result<bool> {
        let found = self.rows::<BTreeMap<String, bool>>("select to_regclass('outbox') is not null as there").await?;
        Ok(found.iter().any(|row| row["there"]))
    }

    /// What a query answers, column by column. Fails if rows have another shape, as those of another version do.
    pub async fn rows<T: DeserializeOwned>(&mut self, query: &str) -> anyhow::Result<Vec<T>> {
        self.load(&as_json(query)).await.with_context(|| query.to_owned())
    }

    /// Shows the rows of a query one after the other, however many there are: it is fetched page by page.
    pub async fn each<T: DeserializeOwned>(
        &mut self,
        query: &str,
        mut show: impl FnMut(T) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let declared = format!("declare pages no scroll cursor for {}", as_json(query));
        self.0.batch_execute(&declared).await.with_context(|| query.to_owned())?;
        loop {
            let page = self.load(&format!("fetch {PAGE} from pages")).await.with_context(|| query.to_owned())?;
            let is_last = page.len() < PAGE;
            page.into_iter().try_for_each(&mut show)?;
            if is_last {
                return Ok(self.0.batch_execute("close pages").await?);
            }
        }
    }

    async fn load<T: DeserializeOwned>(&mut self, statement: &str) -> anyhow::Result<Vec<T>> {
        let rows: Vec<Row> = sql_query(statement).load(&mut self.0).await?;
        let rows = rows.into_iter().map(|row| serde_json::from_value(row.row));
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub async fn end(mut self) -> anyhow::Result<()> {
        self.close().await
    }
}

fn as_json(query: &str) -> String {
    format!("select to_jsonb(r) as row from ({query}) r")
}
