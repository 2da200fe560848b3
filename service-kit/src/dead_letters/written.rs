//! The rows that a transaction has written, looked at before it is rolled back.
//!
//! What it has written is found by who wrote it (`xmin`), which is in no index, so each table is read once, if it is not too
//! large, within a bounded time. How a row was before, another connection sees, which is shown nothing of the transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use utoipa::ToSchema;

use super::content::{HIDDEN, is_secret};

/// Rows of a table that are shown.
const MOST: usize = 20;
/// A larger table, in bytes, is not looked through.
const LARGEST: i64 = 256 * 1024 * 1024;
/// For how long tables are looked through in all. A statement has a second.
const WITHIN: Duration = Duration::from_secs(3);
/// Characters of a value that are shown.
const LONGEST: usize = 1_000;

/// A row that would be written: inserted, if there is none before, deleted, if there is none after, and else updated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = DryRunRow)]
pub struct RowChange {
    /// How it is now, by column. `(not shown)` stands for a value that may be a secret; a long one is cut.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// How it would be.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// The rows of a table that would be written.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub changes: Vec<RowChange>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// A table that was written to, or one partition of it.
#[derive(QueryableByName)]
struct Written {
    /// The whole, where it is a partition.
    #[diesel(sql_type = Text)]
    whole: String,
    /// As it stands in a statement.
    #[diesel(sql_type = Text)]
    name: String,
    /// The columns of its primary key, as they stand in a statement.
    #[diesel(sql_type = Array<Text>)]
    key: Vec<String>,
    #[diesel(sql_type = BigInt)]
    deleted: i64,
    #[diesel(sql_type = BigInt)]
    size: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Jsonb)]
    found: Value,
}

/// What this transaction has written, by table; `outside` sees the database as it was. Tables that could not be looked through
/// are left out, and so is the one that holds what is announced, which is told as events. The transaction goes on as it was.
pub(super) async fn rows(
    conn: &mut AsyncPgConnection,
    outside: &mut AsyncPgConnection,
    announcements: Option<&str>,
) -> QueryResult<BTreeMap<String, Rows>> {
    conn.batch_execute("savepoint looking; set local statement_timeout = '1s'").await?;
    let found = looked(conn, outside, announcements).await;
    conn.batch_execute("rollback to savepoint looking").await?;
    Ok(found)
}

async fn looked(
    conn: &mut AsyncPgConnection,
    outside: &mut AsyncPgConnection,
    announcements: Option<&str>,
) -> BTreeMap<String, Rows> {
    let (mut found, begun) = (BTreeMap::<String, Rows>::new(), Instant::now());
    let tables = match tables(conn).await {
        Ok(tables) => tables,
        Err(error) => {
            tracing::warn!(%error, "what a dry run has written can't be looked at");
            return found;
        }
    };
    for table in tables.iter().filter(|table| Some(table.whole.as_str()) != announcements) {
        let of_table = match table.size <= LARGEST && begun.elapsed() < WITHIN {
            true => changes(conn, outside, table).await,
            false => Ok(Rows::default()),
        };
        let rows = match of_table {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, table = table.whole, "a table is not looked through in time");
                // What failed has ended what was begun here.
                if conn.batch_execute("rollback to savepoint looking").await.is_err() {
                    return found;
                }
                Rows::default()
            }
        };
        let known = found.entry(table.whole.clone()).or_insert_with(|| Rows { is_whole: true, ..Rows::default() });
        let room = MOST - known.changes.len().min(MOST);
        known.is_whole &= rows.is_whole && rows.changes.len() <= room;
        known.changes.extend(rows.changes.into_iter().take(room));
    }
    found
}

async fn tables(conn: &mut AsyncPgConnection) -> QueryResult<Vec<Written>> {
    diesel::sql_query(
        "select coalesce((select parent.relname from pg_inherits join pg_class parent on parent.oid = inhparent
                where inhrelid = written.relid), written.relname)::text as whole,
            written.relid::regclass::text as name, n_tup_del as deleted, pg_relation_size(written.relid) as size,
            coalesce((select array_agg(quote_ident(attname) order by attnum) from pg_index
                join pg_attribute on attrelid = indrelid and attnum = any (indkey)
                where indrelid = written.relid and indisprimary), '{}')::text[] as key
         from pg_stat_xact_user_tables written where n_tup_ins + n_tup_upd + n_tup_del > 0 order by 1, 2",
    )
    .load(conn)
    .await
}

/// Whether a row was written by this transaction, or by a part of it: only those that have not ended yet are seen by nobody else.
const OURS: &str = "case when age(xmin) > 0 then false else \
    pg_xact_status((pg_current_xact_id()::text::bigint - age(xmin))::text::xid8) = 'in progress' end";

async fn changes(conn: &mut AsyncPgConnection, outside: &mut AsyncPgConnection, table: &Written) -> QueryResult<Rows> {
    let Written { name, key, .. } = table;
    let limit = MOST + 1;
    let ours = format!("select to_jsonb(it) as found from {name} it where {OURS} limit {limit}");
    let after: Vec<Row> = diesel::sql_query(ours).load(conn).await?;
    let after: Vec<Value> = after.into_iter().map(|row| row.found).collect();
    let before = match key.as_slice() {
        [] => Vec::new(),
        key => same(outside, name, key, &after).await?,
    };
    let key_of = |row: &Value| key.iter().map(|column| row[unquoted(column)].clone()).collect::<Vec<_>>();
    let mut before: Vec<(Vec<Value>, Value)> = before.into_iter().map(|row| (key_of(&row), row)).collect();
    let mut changes: Vec<RowChange> = Vec::new();
    for row in after {
        let place = before.iter().position(|(known, _)| !known.is_empty() && *known == key_of(&row));
        let before = place.map(|place| before.swap_remove(place).1);
        changes.push(RowChange { before: before.map(shown), after: Some(shown(row)) });
    }
    if table.deleted > 0 && !key.is_empty() {
        changes.extend(deleted(conn, outside, name, key).await?);
    }
    let is_whole = changes.len() <= MOST && (table.deleted == 0 || !key.is_empty());
    changes.truncate(MOST);
    Ok(Rows { changes, is_whole })
}

/// The rows with the keys of these, as this connection sees them.
async fn same(conn: &mut AsyncPgConnection, name: &str, key: &[String], rows: &[Value]) -> QueryResult<Vec<Value>> {
    let on: Vec<_> = key.iter().map(|column| format!("it.{column} = wanted.{column}")).collect();
    let same = format!(
        "select to_jsonb(it) as found from {name} it \
         join jsonb_populate_recordset(null::{name}, $1) wanted on {} limit {}",
        on.join(" and "),
        MOST + 1
    );
    let found: Vec<Row> = diesel::sql_query(same).bind::<Jsonb, _>(json!(rows)).load(conn).await?;
    Ok(found.into_iter().map(|row| row.found).collect())
}

/// The rows that the transaction on `conn` has deleted: others still see them, and it does not.
async fn deleted(
    conn: &mut AsyncPgConnection,
    outside: &mut AsyncPgConnection,
    name: &str,
    key: &[String],
) -> QueryResult<Vec<RowChange>> {
    #[derive(QueryableByName)]
    struct Current {
        #[diesel(sql_type = BigInt)]
        xid: i64,
    }
    let current = "select (pg_current_xact_id()::text::bigint & 4294967295) as xid";
    let Current { xid } = diesel::sql_query(current).get_result(conn).await?;
    // A part of the transaction has a number of its own, which comes soon after.
    let ended = format!(
        "select to_jsonb(it) as found from {name} it \
         where xmax::text::bigint >= $1 and xmax::text::bigint < $1 + 1000 limit {}",
        4 * MOST
    );
    outside.batch_execute("set statement_timeout = '1s'").await?;
    let gone = diesel::sql_query(ended).bind::<BigInt, _>(xid).load::<Row>(outside).await;
    outside.batch_execute("reset statement_timeout").await?;
    let gone: Vec<Value> = gone?.into_iter().map(|row| row.found).collect();
    let still_there = same(conn, name, key, &gone).await?;
    let key_of = |row: &Value| key.iter().map(|column| row[unquoted(column)].clone()).collect::<Vec<_>>();
    let still_there: Vec<_> = still_there.iter().map(key_of).collect();
    let gone = gone.into_iter().filter(|row| !still_there.contains(&key_of(row)));
    Ok(gone.map(|row| RowChange { before: Some(shown(row)), after: None }).collect())
}

/// A column's name without the quotes that it has in a statement.
fn unquoted(column: &str) -> String {
    match column.strip_prefix('"').and_then(|column| column.strip_suffix('"')) {
        Some(column) => column.replace("\"\"", "\""),
        None => column.to_owned(),
    }
}

/// A row for people: without secrets, and long values cut.
fn shown(row: Value) -> Value {
    let Value::Object(columns) = row else { return row };
    let value = |(name, value): (String, Value)| {
        let value = match value {
            value if value.is_null() => value,
            _ if is_secret(&name) => HIDDEN.into(),
            Value::String(text) => cut(text).into(),
            value if value.is_object() || value.is_array() => {
                let text = value.to_string();
                if text.chars().nth(LONGEST).is_some() { cut(text).into() } else { value }
            }
            value => value,
        };
        (name, value)
    };
    Value::Object(columns.into_iter().map(value).collect::<Map<_, _>>())
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_shown_without_secrets_and_long_values_are_cut() {
        let row = json!({"id": 1, "client_secret": "s", "guest_token": null, "body": "x".repeat(5_000), "lines": [1, 2],
            "many": vec![7; 5_000]});
        let shown = shown(row);
        assert_eq!(
            (&shown["id"], &shown["client_secret"], &shown["guest_token"]),
            (&json!(1), &json!(HIDDEN), &Value::Null)
        );
        assert_eq!(shown["lines"], json!([1, 2]));
        for long in ["body", "many"] {
            assert_eq!(shown[long].as_str().unwrap().chars().count(), LONGEST + 1, "{long}");
        }
    }

    #[test]
    fn a_column_is_named_without_its_quotes() {
        assert_eq!([unquoted("id"), unquoted("\"Id\""), unquoted("\"a\"\"b\"")], ["id", "Id", "a\"b"]);
    }
}
