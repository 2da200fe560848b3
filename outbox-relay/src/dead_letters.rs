use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Binary, Json, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::consumer::{Announced, DeadLetterCopy, DeadLetterSink, ReactionError};

use crate::headers::StoredHeaders;
use crate::{NewRow, append};

/// Appends the copies of a service's dead letters to its outbox, so that they leave as everything that it says does.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetters;

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = BigInt)]
    last: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    topic: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Json)]
    headers: StoredHeaders,
    #[diesel(sql_type = Binary)]
    payload: Vec<u8>,
}

impl DeadLetterSink for DeadLetters {
    async fn dead_letter(&self, conn: &mut AsyncPgConnection, copy: DeadLetterCopy) -> Result<(), ReactionError> {
        let DeadLetterCopy { id, topic, key, headers, value } = copy;
        Ok(append(conn, NewRow { event_id: id, topic, key, headers, payload: value }).await?)
    }

    /// The last number that was handed out: whatever is appended from now on has a higher one.
    async fn mark(&self, conn: &mut AsyncPgConnection) -> Result<i64, ReactionError> {
        let last =
            "select coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass), 0) as last";
        let Mark { last } = diesel::sql_query(last).get_result(conn).await?;
        Ok(last)
    }

    fn outbox(&self) -> Option<&'static str> {
        Some("outbox")
    }

    /// Of what lies behind the mark, the rows of this transaction are those that were created at its beginning.
    async fn announced(&self, conn: &mut AsyncPgConnection, mark: i64) -> Result<Vec<Announced>, ReactionError> {
        let rows: Vec<Row> = diesel::sql_query(
            "select topic, key, headers, payload from outbox where id > $1 and created_at = now() order by id limit 1000",
        )
        .bind::<BigInt, _>(mark)
        .load(conn)
        .await?;
        let announced = |Row { topic, key, headers, payload }: Row| {
            let headers = headers.read.unwrap_or_default();
            let headers = headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            Announced { topic, key, headers, value: payload }
        };
        Ok(rows.into_iter().map(announced).collect())
    }
}
