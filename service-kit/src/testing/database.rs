//! A database for each test.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel::sql_query;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::EmbeddedMigrations;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{eventually, variable};
use crate::config::DatabaseConfig;
use crate::{Pool, migrate, pool};

/// A migrated database that belongs to one test. It is cloned from a template, which is made once for each set of
/// migrations, and dropped by a later test, so that a run of a thousand tests doesn't fill the disk.
pub struct TestDb {
    /// Connections to it.
    pub pool: Pool,
    /// Its URL.
    pub url: String,
}

impl TestDb {
    /// Clones the template of these migrations. Needs `#[tokio::test(flavor = "multi_thread")]`.
    pub async fn new(sources: &[EmbeddedMigrations]) -> Self {
        let template = template(sources).await;
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        let mut admin = admin().await;
        drop_abandoned(&mut admin, ABANDONED).await;
        // It ends with this test's runtime, by which others see that nobody uses the database any more.
        sql_query(format!("set application_name = '{name}'")).execute(&mut admin).await.unwrap();
        // Only one connection can clone a template at a time, so this waits for a lock.
        locked(&mut admin, &template, async |admin| {
            sql_query(format!("create database {name} template {template} strategy wal_log"))
                .execute(admin)
                .await
                .unwrap();
        })
        .await;
        tokio::spawn(async move {
            let _open = admin;
            std::future::pending::<()>().await;
        });
        let url = database_url(&name);
        let config = DatabaseConfig { url: SecretString::from(url.clone()), pool_size: 40 };
        Self { pool: pool::open(&config).await.unwrap(), url }
    }

    /// A connection from the pool.
    pub async fn conn(&self) -> pool::Conn {
        self.pool.get().await.unwrap()
    }

    /// Runs statements.
    pub async fn run(&self, statements: impl AsRef<str>) {
        self.conn().await.batch_execute(statements.as_ref()).await.unwrap();
    }

    /// The rows of a query: see [`rows`].
    pub async fn rows<T: DeserializeOwned>(&self, query: impl AsRef<str>) -> Vec<T> {
        rows(&mut *self.conn().await, query.as_ref()).await
    }

    /// The one row of a query: see [`rows`].
    pub async fn row<T: DeserializeOwned>(&self, query: impl AsRef<str>) -> T {
        let [row] = <[T; 1]>::try_from(self.rows(query).await).unwrap_or_else(|rows| panic!("{} rows", rows.len()));
        row
    }

    /// How many rows there are of `what`: a table, with a condition or without.
    pub async fn count(&self, what: &str) -> i64 {
        self.row(format!("select count(*) from {what}")).await
    }
}

/// The rows of a query, each as a tuple of its columns or, where it has one column, as the value of that. They are
/// read by way of JSON, so that a test needs no type for what it looks at once.
pub async fn rows<T: DeserializeOwned>(conn: &mut AsyncPgConnection, query: &str) -> Vec<T> {
    let columns = "select json_agg(value)::text from json_each(to_json(asked))";
    let rows: Vec<Name> =
        sql_query(format!("select ({columns}) as name from ({query}) asked")).load(conn).await.unwrap();
    let row = |row: Name| {
        let mut columns: Vec<Value> = serde_json::from_str(&row.name.unwrap()).unwrap();
        let row = if columns.len() == 1 { columns.remove(0) } else { columns.into() };
        serde_json::from_value(row).unwrap()
    };
    rows.into_iter().map(row).collect()
}

/// A pool of one connection to this database, so that a test knows which one is used.
pub async fn one_connection(url: &str) -> Pool {
    pool::open(&DatabaseConfig { url: SecretString::from(url), pool_size: 1 }).await.unwrap()
}

/// Runs a test's work on a thread that does nothing else, with a pool of one connection that is driven by the same thread:
/// what the work sends without waiting is sent at once, so that round trips are the same each time.
pub async fn on_one_thread(url: String, work: impl AsyncFnOnce(&Pool) + Send + 'static) {
    let done = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(&one_connection(&url).await).await });
    });
    done.await.unwrap();
}

async fn template(sources: &[EmbeddedMigrations]) -> String {
    let mut hasher = DefaultHasher::new();
    for source in sources {
        let migrations = MigrationSource::<Pg>::migrations(source).unwrap();
        migrations.iter().for_each(|migration| migration.name().to_string().hash(&mut hasher));
    }
    // A migration's text may change while it is being written, so each build of a test binary has its own template.
    std::env::current_exe().ok().and_then(|exe| exe.metadata().ok()?.modified().ok()).hash(&mut hasher);
    let name = format!("template_{:016x}", hasher.finish());
    let mut admin = admin().await;
    locked(&mut admin, &name, async |admin| {
        let known: Vec<Name> = sql_query("select datname::text as name from pg_database where datname = $1")
            .bind::<diesel::sql_types::Text, _>(&name)
            .load(admin)
            .await
            .unwrap();
        if known.is_empty() {
            // The template is built under another name and renamed once it is complete, so that a killed test leaves
            // no half-made template.
            let raw = format!("{name}_raw");
            sql_query(format!("drop database if exists {raw} with (force)")).execute(admin).await.unwrap();
            sql_query(format!("create database {raw}")).execute(admin).await.unwrap();
            migrate::migrate(&SecretString::from(database_url(&raw)), sources).await.unwrap();
            eventually("the migration's connection has ended", Duration::from_secs(10), async || {
                let mut other = self::admin().await;
                sql_query(format!("alter database {raw} rename to {name}")).execute(&mut other).await.is_ok()
            })
            .await;
        }
    })
    .await;
    name
}

/// How many databases ended tests may leave behind: each has 8 MB, and dropping one makes PostgreSQL write a checkpoint.
const ABANDONED: usize = 64;

/// Drops the databases of tests that have ended, if there are so many and no other test is at it.
async fn drop_abandoned(admin: &mut AsyncPgConnection, many: usize) {
    const ABANDONED_DATABASES: &str = "select datname::text as name from pg_database where datname like 'test\\_%' \
        and not exists (select from pg_stat_activity where application_name = pg_database.datname)";
    const LOCK: &str = "select case when pg_try_advisory_lock(hashtext('drop_abandoned')) then 'held' end as name";
    let names = |rows: Vec<Name>| rows.into_iter().filter_map(|row| row.name).collect::<Vec<_>>();
    if sql_query(ABANDONED_DATABASES).load(admin).await.map(names).unwrap().len() < many
        || sql_query(LOCK).load(admin).await.map(names).unwrap().is_empty()
    {
        return;
    }
    for name in sql_query(ABANDONED_DATABASES).load(admin).await.map(names).unwrap() {
        sql_query(format!("drop database if exists {name} with (force)")).execute(admin).await.unwrap();
    }
    sql_query("select pg_advisory_unlock(hashtext('drop_abandoned'))").execute(admin).await.unwrap();
}

#[derive(diesel::QueryableByName)]
struct Name {
    #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
    name: Option<String>,
}

async fn locked(admin: &mut AsyncPgConnection, name: &str, work: impl AsyncFnOnce(&mut AsyncPgConnection)) {
    sql_query("set lock_timeout = '120s'; ").execute(admin).await.unwrap();
    sql_query("set statement_timeout = '120s'").execute(admin).await.unwrap();
    sql_query(format!("select pg_advisory_lock(hashtext('{name}'))")).execute(admin).await.unwrap();
    work(admin).await;
    sql_query(format!("select pg_advisory_unlock(hashtext('{name}'))")).execute(admin).await.unwrap();
}

async fn admin() -> AsyncPgConnection {
    pool::connect(&variable("TEST_DATABASE_URL")).await.expect("TEST_DATABASE_URL answers")
}

fn database_url(name: &str) -> String {
    let mut url = url::Url::parse(&variable("TEST_DATABASE_URL")).expect("TEST_DATABASE_URL is a URL of one host");
    url.set_path(name);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_is_dropped_once_its_test_has_ended_and_no_sooner() {
        let going_on = TestDb::new(&[]).await;
        let ended = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async { TestDb::new(&[]).await.url })
        });
        let ended = ended.join().unwrap();
        eventually("the ended test's database is dropped", Duration::from_secs(30), async || {
            drop_abandoned(&mut admin().await, 1).await;
            pool::connect(&ended).await.is_err()
        })
        .await;
        drop(going_on.conn().await);
    }
}
