//! Migrates the database when a service starts, one starting instance at a time.

use anyhow::Context;
use diesel::sql_types::BigInt;
use diesel::{QueryableByName, sql_query};
use diesel_async::{AsyncMigrationHarness, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};
use secrecy::{ExposeSecret, SecretString};

use crate::pool;

/// The kit's own tables: inbox, parked keys, dead letters, consumer progress, timers.
pub const MIGRATIONS: EmbeddedMigrations = diesel_migrations::embed_migrations!();

/// The advisory lock that keeps two starting instances from migrating one database at the same time.
const LOCK: i64 = 0x7175_6164_7269_6c6c; // "quadrill"

#[derive(QueryableByName)]
struct Unknown {
    #[diesel(sql_type = diesel::sql_types::Text)]
    version: String,
}

/// Brings the database up to date with the migrations of `sources`, in this order (kit, outbox, service). It waits
/// while another instance migrates. It needs a multi-thread runtime, because diesel's migrations block.
///
/// # Errors
/// Fails if PostgreSQL can't be reached in time, if a migration fails, or if the schema is newer than this program.
pub async fn migrate(url: &SecretString, sources: &[EmbeddedMigrations]) -> anyhow::Result<()> {
    let mut conn = pool::connect_patiently(url.expose_secret()).await?;
    // An index on a large table takes long. The pool's limits would cancel it, and again at every start.
    sql_query("set statement_timeout = 0").execute(&mut conn).await?;
    sql_query("set lock_timeout = '60s'").execute(&mut conn).await?;
    sql_query("select pg_advisory_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(&mut conn)
        .await
        .context("waited a minute for another instance that migrates the database")?;
    // From here on a migration that waits for a table lock makes everybody behind it in the queue wait too, so it
    // gives up soon.
    sql_query("set lock_timeout = '5s'").execute(&mut conn).await?;
    refuse_newer(&mut conn, sources).await.with_context(|| pool::place(url.expose_secret()))?;
    let mut harness = AsyncMigrationHarness::new(conn);
    for source in sources {
        let done = harness
            .run_pending_migrations(Borrowed(source))
            .map_err(|error| anyhow::anyhow!("a migration failed: {error}"))?;
        if !done.is_empty() {
            tracing::info!(migrations = done.len(), "the database was migrated");
        }
    }
    Ok(()) // closing the connection releases the lock
}

/// Refuses a schema with unknown migrations: an older program could write rows that the newer one doesn't expect.
async fn refuse_newer(
    conn: &mut diesel_async::AsyncPgConnection,
    sources: &[EmbeddedMigrations],
) -> anyhow::Result<()> {
    let exists = sql_query("select version::text from __diesel_schema_migrations order by version");
    let applied: Vec<Unknown> = match exists.load(conn).await {
        Ok(applied) => applied,
        Err(_) => return Ok(()), // a new database has no such table
    };
    let mut known = Vec::new();
    for source in sources {
        let migrations = diesel::migration::MigrationSource::<diesel::pg::Pg>::migrations(source)
            .map_err(|error| anyhow::anyhow!("the migrations in this program can't be read: {error}"))?;
        known.extend(migrations.iter().map(|migration| migration.name().version().to_string()));
    }
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
