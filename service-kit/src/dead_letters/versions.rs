//! Edited letters: what came stays on record beside what it was changed to, with who changed it and why.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Json, Nullable, Text};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::content::{Header, Payload, shown};
use super::ended::KEPT;
use super::{BOUNDS, DeadLetter, Decision, Draft, hold, http, read_headers, record_of};
use crate::consumer::{Record, Undecodable};
use crate::housekeeping::TimeToLive;
use crate::schema::{dead_letter_versions, dead_letters};

/// How often a letter may be edited.
const MOST: i32 = 20;

/// Versions of a letter that an instance of an older build has ended, which notes no such thing.
const ORPHANS: &str = "delete from dead_letter_versions where letter_id in (select key from old)
    and not exists (select from dead_letters where id = letter_id)
    and not exists (select from dead_letters_ended where id = letter_id) returning letter_id as key";

/// The rule by which housekeeping forgets them. Those of other letters go with what is known of the letter's end.
pub(super) const fn time_to_live() -> TimeToLive {
    TimeToLive::new("dead_letter_versions", "letter_id", "made_at", KEPT).deleting(ORPHANS)
}

/// What a letter said at some time.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DeadLetterVersion, example = json!(http::examples::version()))]
pub struct Version {
    /// 0 is what came.
    pub version: i32,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// Who edited, if anybody was asked who they are.
    pub made_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Its headers, in order.
    pub headers: Vec<Header>,
    /// Its value.
    pub payload: Payload,
}

/// Why a letter is not edited.
#[derive(Debug)]
pub enum NotEdited {
    /// There is no such letter.
    Missing,
    /// What it would say is no event that this build knows: the field that is wrong, and why.
    Undecodable(String, String),
    /// It has as many versions as a letter may have.
    TooOften,
    /// It would not be changed.
    Same,
    /// The database can't do it.
    Database(diesel::result::Error),
}

impl From<diesel::result::Error> for NotEdited {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

/// The versions of a letter that was edited, also after it has ended; else none.
///
/// # Errors
/// Fails if the query fails.
pub async fn versions(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Vec<Version>> {
    type Row = (i32, DateTime<Utc>, Option<String>, Option<String>, Value, Option<Vec<u8>>);
    let rows: Vec<Row> = dead_letter_versions::table
        .filter(dead_letter_versions::letter_id.eq(id))
        .order(dead_letter_versions::version)
        .select((
            dead_letter_versions::version,
            dead_letter_versions::made_at,
            dead_letter_versions::made_by,
            dead_letter_versions::reason,
            dead_letter_versions::headers,
            dead_letter_versions::value,
        ))
        .load(conn)
        .await?;
    let version = |(version, made_at, made_by, reason, headers, value): Row| {
        let (headers, payload) = (shown(read_headers(headers)), Payload::of(value.as_deref()));
        Version { version, made_at, made_by, reason, headers, payload }
    };
    Ok(rows.into_iter().map(version).collect())
}

/// What the last edit made of a letter.
pub(super) async fn newest(conn: &mut AsyncPgConnection, id: i64, edits: i32) -> QueryResult<(Value, Option<Vec<u8>>)> {
    dead_letter_versions::table
        .find((id, edits))
        .select((dead_letter_versions::headers, dead_letter_versions::value))
        .first(conn)
        .await
}

/// Changes a letter as the draft says, if the result is an event by `decode`. The versions before stay on record.
pub(super) async fn edit(
    conn: &mut AsyncPgConnection,
    id: i64,
    draft: Draft,
    decision: &Decision,
    decode: impl Fn(&Record) -> Result<(), Undecodable> + Send + Sync,
) -> Result<DeadLetter, NotEdited> {
    conn.transaction(async |conn| {
        conn.batch_execute(BOUNDS).await?;
        let (letter, _) = record_of(conn, id).await?.ok_or(NotEdited::Missing)?;
        // As a replay does: first the key, then what is in its queue. It may have changed meanwhile.
        hold(conn, &letter.consumer, &letter.topic, &letter.key).await?;
        let locked = dead_letters::table.find(id).select(dead_letters::id).for_update();
        locked.first::<i64>(conn).await.optional()?.ok_or(NotEdited::Missing)?;
        let (letter, before) = record_of(conn, id).await?.ok_or(NotEdited::Missing)?;
        if letter.edits >= MOST {
            return Err(NotEdited::TooOften);
        }
        let mut record = before.clone();
        draft.apply(&mut record);
        if record == before {
            return Err(NotEdited::Same);
        }
        decode(&record).map_err(undecodable)?;
        insert(conn, &letter, &record, decision).await?;
        Ok(DeadLetter { edits: letter.edits + 1, ..letter })
    })
    .await
}

const KEEP_WHAT_CAME: &str = "insert into dead_letter_versions (letter_id, version, headers, value, made_at)
    select id, 0, headers, value, buried_at from dead_letters where id = $1 on conflict do nothing";
const INSERT: &str = "with edited as (update dead_letters set edits = $2 where id = $1)
    insert into dead_letter_versions (letter_id, version, headers, value, made_by, reason) values ($1, $2, $3, $4, $5, $6)";

async fn insert(
    conn: &mut AsyncPgConnection,
    letter: &DeadLetter,
    record: &Record,
    decision: &Decision,
) -> QueryResult<()> {
    diesel::sql_query(KEEP_WHAT_CAME).bind::<BigInt, _>(letter.id).execute(conn).await?;
    diesel::sql_query(INSERT)
        .bind::<BigInt, _>(letter.id)
        .bind::<Integer, _>(letter.edits + 1)
        .bind::<Json, _>(json!(record.headers))
        .bind::<Nullable<Binary>, _>(record.value.as_deref())
        .bind::<Nullable<Text>, _>(decision.by.as_deref())
        .bind::<Nullable<Text>, _>(decision.reason.as_deref())
        .execute(conn)
        .await
        .map(drop)
}

/// Names the field that keeps the record from being an event.
fn undecodable(why: Undecodable) -> NotEdited {
    let (field, why) = match why {
        Undecodable::UnknownType => ("headers.ce_type".to_owned(), "this build does not know the type".to_owned()),
        Undecodable::Malformed(why) => {
            let header = why.strip_prefix("the header ").and_then(|rest| rest.split(' ').next());
            (header.map_or_else(|| "payload".to_owned(), |header| format!("headers.{header}")), why)
        }
    };
    NotEdited::Undecodable(field, why)
}
