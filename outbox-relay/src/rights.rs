//! The rights of a relay whose role is not the service's own: its work on the outbox, and nothing else.

use anyhow::{Context, bail};
use diesel::result::QueryResult;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::config::vars::OUTBOX_RELAY_ROLE;
use crate::sql;

/// Names the lock under which rights are granted: PostgreSQL fails when two sessions grant on one table at once.
const LOCK: i64 = 0x6f75_7462_6f78_2d67; // "outbox-g"

/// Grants `role` the rights that a relay needs on the outbox of this database, and nothing else. Does nothing if the role has
/// them all. The connection's role must own the outbox, which must exist.
///
/// # Errors
/// PostgreSQL has no such role, or the connection's role may not grant these rights.
pub async fn grant(conn: &mut AsyncPgConnection, role: &str) -> anyhow::Result<()> {
    let variable = OUTBOX_RELAY_ROLE.name;
    if !(sql::RoleExists { role: role.to_owned() }.get_result::<bool>(conn).await?) {
        bail!(
            "{variable} is {role:?}, and PostgreSQL has no such role: create it (create role ... login), or correct the name"
        );
    }
    let lacking = lacking(conn, Some(role)).await?;
    if lacking.is_empty() {
        return Ok(());
    }
    let name = format!("\"{}\"", role.replace('"', "\"\""));
    let grants: String = lacking.iter().map(|right| format!("grant {right} to {name};")).collect();
    let granted = conn.transaction(async |conn| {
        sql::GrantLock { lock: LOCK }.execute(conn).await?;
        conn.batch_execute(&grants).await
    });
    granted.await.with_context(|| {
        format!("{variable}: {role} can't be granted {} (only the owner of the outbox can)", lacking.join(", "))
    })?;
    tracing::info!(role, rights = lacking.join(", "), "the relay's role may relay");
    Ok(())
}

/// Why the session's role can't relay in its database yet.
pub(crate) async fn not_yet(conn: &mut AsyncPgConnection) -> QueryResult<Option<String>> {
    let lacking = lacking(conn, None).await?;
    if lacking.is_empty() {
        return Ok(None);
    }
    let (there, role) = sql::WhereAmI {}.get_result::<(bool, String)>(conn).await?;
    Ok(Some(if there {
        format!(
            "the role {role} lacks {}: start the service that owns the database with {}={role}",
            lacking.join(", "),
            OUTBOX_RELAY_ROLE.name
        )
    } else {
        "the tables outbox, outbox_parked and outbox_archive are not all there: the service that owns the database makes \
         them when it starts"
            .to_owned()
    }))
}

/// Why the database takes no writes now, if so. A relay could delete nothing there, and would publish the same rows for ever.
pub(crate) async fn takes_no_writes(conn: &mut AsyncPgConnection) -> QueryResult<Option<String>> {
    let why: Option<String> = sql::TakesNoWrites {}.get_result(conn).await?;
    Ok(why.map(|why| format!("the database takes no writes: {why}")))
}

/// The rights that `role` (the session's own when none is given) lacks, in the words of SQL's `grant`. All of them are
/// lacking while the tables don't exist.
async fn lacking(conn: &mut AsyncPgConnection, role: Option<&str>) -> QueryResult<Vec<String>> {
    sql::Lacking { role: role.map(str::to_owned) }.get_result(conn).await
}
