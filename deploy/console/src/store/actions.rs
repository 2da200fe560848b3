//! What staff and operators did with the console's own buttons; what they had a service do is on record there.

use diesel::QueryResult;
use diesel::sql_types::{BigInt, Jsonb, SmallInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;
use service_kit::prepared;
use uuid::Uuid;

/// Somebody who may has pressed a button; what came of it isn't known yet.
pub async fn begin(conn: &mut AsyncPgConnection, id: Uuid, (sub, role): (&str, &str), path: &str) -> QueryResult<()> {
    Begin { id: &id, sub, role, path }.execute(conn).await.map(drop)
}

/// What came of it, as an HTTP status.
pub async fn end(conn: &mut AsyncPgConnection, id: Uuid, status: i16) -> QueryResult<()> {
    End { status: &status, id: &id }.execute(conn).await.map(drop)
}

/// The newest, of one person or of all, before another one: as services list theirs.
pub async fn list(
    conn: &mut AsyncPgConnection,
    sub: Option<&str>,
    before: Option<Uuid>,
    limit: i64,
) -> QueryResult<Vec<Value>> {
    let (sub, before) = (sub.unwrap_or_default(), before.unwrap_or(Uuid::max()));
    List { any: sub, sub, before: &before, limit: &limit }.load(conn).await
}

prepared! {
    struct Begin<'a> { id: &'a Uuid as SqlUuid, sub: &'a str as Text, role: &'a str as Text, path: &'a str as Text };
    "insert into actions (id, sub, role, method, path) values (?, ?, ?, 'POST', ?)"
}
prepared! {
    struct End<'a> { status: &'a i16 as SmallInt, id: &'a Uuid as SqlUuid };
    "update actions set status = ? where id = ?"
}
prepared! {
    struct List<'a> { any: &'a str as Text, sub: &'a str as Text, before: &'a Uuid as SqlUuid, limit: &'a i64 as BigInt } -> Jsonb;
    "select to_jsonb(a) from (select id, at, sub, role, method, path, traceparent, status from actions \
     where (? = '' or sub = ?) and id < ? order by id desc limit ?) a"
}
