//! Looks for a person in every table of a database.

use std::collections::BTreeSet;

use diesel_async::AsyncPgConnection;
use service_kit::testing::{TestDb, rows};

/// Of a partitioned table the whole, not its partitions.
const TABLES: &str = "select relname::text as name from pg_class \
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not relispartition order by 1";

/// The tables in which one of these texts stands anywhere, bytes included, in small letters or capitals.
pub async fn tables_that_name(conn: &mut AsyncPgConnection, texts: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for table in rows::<String>(conn, TABLES).await {
        for text in texts {
            let text = text.replace('\'', "''");
            // a row as text shows bytes as hexadecimal digits
            let names_it = format!(
                "select exists (select from {table} as one where position(lower('{text}') in lower(one::text)) > 0 \
                 or position(encode(convert_to('{text}', 'UTF8'), 'hex') in one::text) > 0)"
            );
            if rows::<bool>(conn, &names_it).await == [true] {
                found.insert(table.clone());
            }
        }
    }
    found
}

/// The same for a test's database, but for what is to be published and was published: that is not a table's to forget.
pub async fn tables_that_name_beside_the_outbox(db: &TestDb, texts: &[&str]) -> BTreeSet<String> {
    let mut found = tables_that_name(&mut *db.conn().await, texts).await;
    found.remove("outbox");
    found
}
