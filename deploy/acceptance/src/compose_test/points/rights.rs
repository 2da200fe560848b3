//! Who may do what in PostgreSQL: a service's role sees its own database and no other, a relay's role the outbox and
//! nothing else.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use quadrille::service::Service;
use url::Url;

use super::super::engine;
use super::super::stack::{Stack, with_a_door};

/// Databases that a role may connect to.
const DATABASES: &str = "select coalesce(string_agg(datname, ' ' order by datname), '') from pg_database \
                         where datallowconn and has_database_privilege('ROLE', oid, 'connect')";
/// Tables that a role may do anything to.
const TABLES: &str = "select coalesce(string_agg(relname, ' ' order by relname), '') from pg_class \
                      where relkind in ('r', 'p', 'v', 'm') and relnamespace::regnamespace::text !~ '^pg_|^information_schema' \
                      and has_table_privilege('ROLE', oid, 'select, insert, update, delete, truncate, references, trigger')";
/// Whether a role may do what only an administrator should.
const POWERS: &str = "select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls \
                      from pg_roles where rolname = 'ROLE'";
/// All that a relay has business with.
const OUTBOX: [&str; 4] = ["outbox", "outbox_archive", "outbox_archive_state", "outbox_parked"];

pub(in crate::compose_test) async fn try_out(stack: &Stack) -> anyhow::Result<String> {
    let mut roles = 0;
    for service in with_a_door() {
        let Some(database) = service.database() else { continue };
        let url = stack.only(service.name()).await?.variable("DATABASE_URL").map(str::to_owned);
        let url = Url::parse(&url.with_context(|| format!("{} has no DATABASE_URL", service.name()))?)?;
        must_have_nothing_but(stack, url.username(), database).await?;
        must_be_refused_elsewhere(stack, &url).await?;
        roles += 1;
    }
    for service in Service::WITH_OUTBOX {
        let database = service.database().context("a service with an outbox has a database")?;
        let relay = service.name().replace("-svc", "-relay");
        let url = stack.only(&relay).await?.variable("OUTBOX_RELAY_DATABASES").map(str::to_owned);
        let url = Url::parse(&url.with_context(|| format!("{relay} has no OUTBOX_RELAY_DATABASES"))?)?;
        must_have_nothing_but(stack, url.username(), database).await?;
        let tables = stack.sql(database, &TABLES.replace("ROLE", url.username())).await?;
        let tables: BTreeSet<_> = tables.split_whitespace().collect();
        ensure!(tables.contains("outbox"), "{} may do nothing with the outbox", url.username());
        let more: Vec<_> = tables.iter().filter(|table| !OUTBOX.contains(table)).collect();
        ensure!(more.is_empty(), "{} may use {more:?} in {database}", url.username());
        roles += 1;
    }
    Ok(format!(
        "{roles} roles, each lets into its own database and no other; a relay's sees the outbox and nothing else"
    ))
}

async fn must_have_nothing_but(stack: &Stack, role: &str, database: &str) -> anyhow::Result<()> {
    let powers = stack.sql("postgres", &POWERS.replace("ROLE", role)).await?;
    ensure!(powers == "f", "{role} has powers of an administrator (or isn't there)");
    let databases = stack.sql("postgres", &DATABASES.replace("ROLE", role)).await?;
    ensure!(databases == database, "{role} may connect to: {databases}; expected {database} alone");
    Ok(())
}

/// Not only by what the catalogue says: with its own password it is turned away from a neighbour's database.
async fn must_be_refused_elsewhere(stack: &Stack, own: &Url) -> anyhow::Result<()> {
    let neighbour = if own.username() == "stock_svc" { "order_svc" } else { "stock_svc" };
    let postgres = stack.only("postgres").await?;
    let mut url = own.clone();
    url.set_host(Some("127.0.0.1"))?;
    let at_home = engine::tried(&["exec", &postgres.id, "psql", url.as_str(), "-Atqc", "select 1"]).await?;
    ensure!(at_home.0, "{} can't connect to its own database: {}", own.username(), at_home.1.trim());
    url.set_path(neighbour);
    let (success, said) = engine::tried(&["exec", &postgres.id, "psql", url.as_str(), "-Atqc", "select 1"]).await?;
    ensure!(!success && said.contains("permission denied for database"), "{} at {neighbour}: {said}", own.username());
    Ok(())
}
