//! What a relay may do in a database where its role is not the service's own: its work on the outbox, and nothing else.

use anyhow::{Context, bail};
use diesel::result::QueryResult;
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::config::vars::OUTBOX_RELAY_ROLE;
use crate::sql;

/// Names the lock under which rights are granted: PostgreSQL fails when two sessions grant on one table at once.
const LOCK: i64 = 0x6f75_7462_6f78_2d67; // "outbox-g"

/// Grants `role` what a relay needs of the outbox in this database, and nothing else. The connection must be the owner's
/// of the outbox, and the outbox be there. Does nothing where the role has all of it.
///
/// # Errors
/// PostgreSQL has no such role, or the connection's role may not grant.
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

/// Why the session can write nothing in its database now. A relay would publish the same rows for ever, since it could
/// not retire them.
pub(crate) async fn takes_no_writes(conn: &mut AsyncPgConnection) -> QueryResult<Option<String>> {
    let why: Option<String> = sql::TakesNoWrites {}.get_result(conn).await?;
    Ok(why.map(|why| format!("the database takes no writes: {why}")))
}

/// What `role`, or the session's own, lacks to relay, as `grant` takes it: all of it where the tables aren't there.
async fn lacking(conn: &mut AsyncPgConnection, role: Option<&str>) -> QueryResult<Vec<String>> {
    sql::Lacking { role: role.map(str::to_owned) }.get_result(conn).await
}
