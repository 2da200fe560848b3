//! How far a consumer has come, kept in `consumer_progress`.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Record;

/// Notes that everything up to and with `record` is handled.
pub(crate) async fn note(conn: &mut AsyncPgConnection, consumer: &str, record: &Record) -> QueryResult<()> {
    Note { consumer, record, position: record.place.offset + 1 }.execute(conn).await.map(drop)
}

/// Written by hand with a static id, so that it stays prepared: it runs in every batch.
struct Note<'a> {
    consumer: &'a str,
    record: &'a Record,
    position: i64,
}

impl QueryFragment<Pg> for Note<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("insert into consumer_progress as known (consumer, topic, partition, position) values (");
        out.push_bind_param::<Text, _>(self.consumer)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(&self.record.place.topic)?;
        out.push_sql(", ");
        out.push_bind_param::<Integer, _>(&self.record.place.partition)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.position)?;
        out.push_sql(
            ") on conflict (consumer, topic, partition) \
             do update set position = greatest(known.position, excluded.position)",
        );
        Ok(())
    }
}

impl QueryId for Note<'_> {
    type QueryId = Note<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
