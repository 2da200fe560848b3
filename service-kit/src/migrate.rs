//! Migrates the database when a service starts, one starting instance at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;
use diesel::pg::Pg;
use diesel::sql_types::BigInt;
use diesel::{QueryResult, QueryableByName, sql_query};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::sleep;

use crate::pool;
use crate::retry::Backoff;

/// The kit's own tables: inbox, parked keys, dead letters, consumer progress, timers.
pub const MIGRATIONS: EmbeddedMigrations = diesel_migrations::embed_migrations!();

/// The advisory lock that keeps two starting instances from migrating one database at the same time.
const LOCK: i64 = 0x7175_6164_7269_6c6c; // "quadrill"

/// How long an instance that starts waits for another that migrates.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    locked: bool,
}

#[derive(QueryableByName)]
struct Unfinished {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Unknown {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

/// Brings the database up to date with the migrations of `sources`, in this order (kit, outbox, service). It waits
/// while another instance migrates. It needs a multi-thread runtime, because diesel's migrations block.
///
/// # Errors
/// Fails if PostgreSQL can't be reached in time, if a migration fails, if the schema is newer than this program, or if two
/// migrations have the same version.
pub async fn migrate(url: &SecretString, sources: &[EmbeddedMigrations]) -> anyhow::Result<()> {
    let known = versions(sources)?;
    let mut conn = pool::connect_patiently(url.expose_secret()).await?;
    // An index on a large table takes long. The pool's limits would cancel it, and again at every start.
    sql_query("set statement_timeout = 0").execute(&mut conn).await?;
    tokio::time::timeout(PATIENCE, lock(&mut conn))
        .await
        .context("waited a minute for another instance that migrates the database")??;
    refuse_newer(&mut conn, &known).await.with_context(|| pool::place(url.expose_secret()))?;
    for source in sources {
        conn = run_pending(conn, source).await?;
    }
    Ok(()) // closing the connection releases the lock
}

/// Asks for the lock again and again. Who waits for it in one statement keeps a snapshot meanwhile, and an index that is built
/// concurrently under the lock waits until nobody has an older one: those two would wait for each other.
async fn lock(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
    loop {
        let asked = sql_query("select pg_try_advisory_lock($1) as locked").bind::<BigInt, _>(LOCK);
        if asked.get_result::<Locked>(conn).await?.locked {
            return Ok(());
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Runs what is pending of a source. In a transaction a migration that waits for a table lock makes everybody behind it in
/// the queue wait too, so it gives up soon; one that wants none is there to hold up nobody, and may wait longer.
async fn run_pending(mut conn: AsyncPgConnection, source: &EmbeddedMigrations) -> anyhow::Result<AsyncPgConnection> {
    let mut done = 0;
    loop {
        sql_query("set lock_timeout = '5s'").execute(&mut conn).await?;
        let mut harness = AsyncMigrationHarness::new(conn);
        let (ran, is_more) = run_in_transactions(&mut harness, source).map_err(failed)?;
        conn = harness.into_inner();
        done += ran;
        if !is_more {
            break;
        }
        sql_query("set lock_timeout = '60s'").execute(&mut conn).await?;
        drop_unfinished(&mut conn).await?;
        let mut harness = AsyncMigrationHarness::new(conn);
        harness.run_next_migration(Borrowed(source)).map(drop).map_err(failed)?;
        conn = harness.into_inner();
        done += 1;
    }
    if done > 0 {
        tracing::info!(migrations = done, "the database was migrated");
    }
    Ok(conn)
}

fn failed(error: Box<dyn std::error::Error + Send + Sync>) -> anyhow::Error {
    anyhow::anyhow!("a migration failed: {error}")
}

/// Runs those that are pending up to the first that wants no transaction. Returns how many, and whether there is such a one.
fn run_in_transactions(
    harness: &mut impl MigrationHarness<Pg>,
    source: &EmbeddedMigrations,
) -> diesel::migration::Result<(usize, bool)> {
    let pending = harness.pending_migrations(Borrowed(source))?;
    let first = pending.iter().take_while(|migration| migration.metadata().run_in_transaction()).count();
    harness.run_migrations(&pending[..first])?;
    Ok((first, first < pending.len()))
}

/// The indexes whose build was interrupted, but for those that somebody builds now. The parts of a partitioned table have
/// theirs; that of the whole is no index of rows.
const UNFINISHED: &str = "select format('%I.%I', space.nspname, of.relname) as name from pg_index
    join pg_class of on of.oid = indexrelid join pg_namespace space on space.oid = of.relnamespace
    where not indisvalid and of.relkind = 'i' and space.nspname = current_schema()
      and not exists (select from pg_stat_progress_create_index build where build.index_relid = indexrelid)";

/// Drops what is left of indexes that were built concurrently when that was interrupted: `if not exists` would take them for
/// whole, and they cost as much as others and are of no use.
async fn drop_unfinished(conn: &mut AsyncPgConnection) -> QueryResult<()> {
    let unfinished: Vec<Unfinished> = sql_query(UNFINISHED).load(conn).await?;
    for Unfinished { name } in unfinished {
        tracing::warn!(index = name, "an index whose build was interrupted is dropped");
        sql_query(format!("drop index concurrently if exists {name}")).execute(conn).await?;
    }
    Ok(())
}

/// The versions of all migrations. Two of the same version are refused: the table of versions is one for all sources, so the
/// second would be taken for applied and never run.
fn versions(sources: &[EmbeddedMigrations]) -> anyhow::Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for source in sources {
        let migrations = diesel::migration::MigrationSource::<diesel::pg::Pg>::migrations(source)
            .map_err(|error| anyhow::anyhow!("the migrations in this program can't be read: {error}"))?;
        for migration in &migrations {
            let version = migration.name().version().to_string();
            if !known.insert(version.clone()) {
                anyhow::bail!("two migrations of this program have the version {version}; expected one of each");
            }
        }
    }
    Ok(known)
}

/// Refuses a schema with unknown migrations: an older program could write rows that the newer one doesn't expect.
async fn refuse_newer(conn: &mut diesel_async::AsyncPgConnection, known: &BTreeSet<String>) -> anyhow::Result<()> {
    let exists = sql_query("select version::text from __diesel_schema_migrations order by version");
    let applied: Vec<Unknown> = match exists.load(conn).await {
        Ok(applied) => applied,
        Err(_) => return Ok(()), // a new database has no such table
    };
    if let Some(newer) = applied.iter().find(|applied| !known.contains(&applied.version)) {
        anyhow::bail!(
            "the database's schema is newer than this program: it has migration {}, which this program does not know. \
             Start the newer program, or restore the database to before that migration.",
            newer.version
        );
    }
    Ok(())
}

struct Borrowed<'a>(&'a EmbeddedMigrations);

impl diesel::migration::MigrationSource<diesel::pg::Pg> for Borrowed<'_> {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn diesel::migration::Migration<diesel::pg::Pg>>>> {
        self.0.migrations()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_migrations_of_one_version_are_refused_since_the_second_would_never_run() {
        assert!(versions(&[MIGRATIONS]).unwrap().len() > 5);
        let refused = versions(&[MIGRATIONS, MIGRATIONS]).unwrap_err().to_string();
        assert!(refused.contains("have the version 20"), "{refused}");
    }
}
