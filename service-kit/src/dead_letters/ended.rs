//! What became of dead letters, for a while.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::http;
use crate::housekeeping::TimeToLive;
use crate::schema::dead_letters_ended;

/// For how long it is known what became of a letter, and what its versions said.
pub(super) const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const VERSIONS: &str = "delete from dead_letter_versions where letter_id in (select key from deleted)";

/// The rule by which housekeeping forgets what became of letters.
pub(super) const fn time_to_live() -> TimeToLive {
    TimeToLive::new("dead_letters_ended", "id", "ended_at", KEPT).also(VERSIONS)
}

/// Who had something done, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Their name; none where nobody is asked who they are.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A letter that is no more.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, Queryable, Selectable)]
#[diesel(table_name = dead_letters_ended)]
#[schema(as = EndedDeadLetter, example = json!(http::examples::ended()))]
pub struct Ended {
    /// Its number.
    pub id: i64,
    /// The consumer group.
    pub consumer: String,
    /// The topic of the record.
    pub topic: String,
    /// The partition of the record.
    pub partition: i32,
    /// The offset of the record.
    #[serde(rename = "offset")]
    pub record_offset: i64,
    /// The record's key.
    pub key: String,
    /// `ce_id`, if it has one.
    pub event_id: Option<Uuid>,
    /// `ce_type`, if it has one.
    pub event_type: Option<String>,
    /// Why it failed; none if it only waited behind another of its key.
    pub error: Option<String>,
    /// How often it was edited.
    pub edits: i32,
    /// `replayed` or `discarded`.
    pub how: String,
    /// What the reaction said of one that was replayed.
    pub outcome: Option<String>,
    /// Who had it ended, if anybody was asked who they are.
    pub ended_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When.
    pub ended_at: DateTime<Utc>,
}

/// Lists up to `limit` letters that are no more, of one key or of all, those with the highest numbers below `before` first.
///
/// # Errors
/// Fails if the query fails.
pub async fn ended(
    conn: &mut AsyncPgConnection,
    key: Option<String>,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<Ended>> {
    let mut rows = dead_letters_ended::table
        .filter(dead_letters_ended::id.lt(before.unwrap_or(i64::MAX)))
        .order(dead_letters_ended::id.desc())
        .limit(limit)
        .select(Ended::as_select())
        .into_boxed();
    if let Some(key) = key {
        rows = rows.filter(dead_letters_ended::key.eq(key));
    }
    rows.load(conn).await
}

const END: &str = "with gone as (delete from dead_letters where id = $1 returning *)
    insert into dead_letters_ended
        (id, consumer, topic, partition, record_offset, key, event_id, event_type, error, edits, how, outcome, ended_by, reason)
    select id, consumer, topic, partition, record_offset, key, event_id, event_type, error, edits, $2, $3, $4, $5 from gone";

/// How a letter ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    /// With what the reaction said.
    Replayed(&'static str),
    Discarded,
}

/// Deletes a letter and notes what became of it. Returns false if there is none.
pub(super) async fn end(conn: &mut AsyncPgConnection, id: i64, how: How, decision: &Decision) -> QueryResult<bool> {
    let (how, outcome) = match how {
        How::Replayed(outcome) => ("replayed", Some(outcome)),
        How::Discarded => ("discarded", None),
    };
    let ended = diesel::sql_query(END)
        .bind::<BigInt, _>(id)
        .bind::<Text, _>(how)
        .bind::<Nullable<Text>, _>(outcome)
        .bind::<Nullable<Text>, _>(decision.by.as_deref())
        .bind::<Nullable<Text>, _>(decision.reason.as_deref())
        .execute(conn)
        .await?;
    Ok(ended == 1)
}
