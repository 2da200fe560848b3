//! What databases were asked to do, from `pg_stat_statements`.

use std::collections::BTreeMap;

use tokio_postgres::Client;

/// What one database did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Work {
    pub statements: f64,
    /// `COMMIT`s, so without single statements, which commit by themselves.
    pub commits: f64,
    /// All transactions that were committed, as the server counts them; a connection tells it at most once a second. What this
    /// program asks of the same database is among them.
    pub transactions: f64,
}

/// By database. What this program asks has a comment, and is not counted.
pub async fn by_database(client: &Client) -> anyhow::Result<BTreeMap<String, Work>> {
    let rows = client
        .query(
            "select /* quadrille-bench */ datname::text, sum(calls)::float8, \
             coalesce(sum(calls) filter (where query ilike 'commit%'), 0)::float8, max(xact_commit)::float8 \
             from pg_stat_statements join pg_stat_database on datid = dbid \
             where query not like '%quadrille-bench%' group by datname",
            &[],
        )
        .await?;
    let work = |row: tokio_postgres::Row| {
        (row.get(0), Work { statements: row.get(1), commits: row.get(2), transactions: row.get(3) })
    };
    Ok(rows.into_iter().map(work).collect())
}

/// How many bytes of WAL the server has written in its life.
pub async fn wal_bytes(client: &Client) -> anyhow::Result<f64> {
    let written = "select /* quadrille-bench */ (pg_current_wal_insert_lsn() - '0/0')::float8";
    Ok(client.query_one(written, &[]).await?.get(0))
}

/// What was done between two looks.
pub fn between(before: &BTreeMap<String, Work>, after: &BTreeMap<String, Work>) -> BTreeMap<String, Work> {
    let done = |(name, after): (&String, &Work)| {
        let before = before.get(name).copied().unwrap_or_default();
        let work = Work {
            statements: after.statements - before.statements,
            commits: after.commits - before.commits,
            transactions: after.transactions - before.transactions,
        };
        (name.clone(), work)
    };
    after.iter().map(done).collect()
}
