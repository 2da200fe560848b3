//! Dead letters by cause: those of the same event type and consumer whose errors differ in nothing but values.

use std::fmt;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{COUNTED, LEFT_BEHIND, http};

/// What names a group: sixteen hexadecimal digits, the same wherever and whenever the cause occurs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct GroupId(String);

impl TryFrom<String> for GroupId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text)) } else { Err("expected the 16 hexadecimal digits that a list of groups has given") }
    }
}

impl std::str::FromStr for GroupId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Dead letters of one cause.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, QueryableByName)]
#[schema(as = DeadLetterGroup, example = json!(http::examples::group()))]
pub struct Group {
    /// Its name, for the list and for jobs.
    #[diesel(sql_type = Text)]
    pub group: String,
    /// The consumer group whose reaction failed.
    #[diesel(sql_type = Text)]
    pub consumer: String,
    /// `ce_type`, if they have one.
    #[diesel(sql_type = Nullable<Text>)]
    pub event_type: Option<String>,
    /// The error, with placeholders for its values.
    #[diesel(sql_type = Text)]
    pub cause: String,
    /// How many there are. 10,000 stands for as many or more, here and below.
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
    /// How many keys are concerned.
    #[diesel(sql_type = BigInt)]
    pub keys: i64,
    /// When the first became a dead letter.
    #[diesel(sql_type = Timestamptz)]
    pub first_at: DateTime<Utc>,
    /// When the last did.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: DateTime<Utc>,
    /// The number of the first.
    #[diesel(sql_type = BigInt)]
    pub example: i64,
}

/// Names one group after the other by way of the index, whatever their sizes, and counts in each no further than to $3.
const GROUPS: &str = "with recursive named (group_id, place) as (
    (select group_id, 1::bigint from dead_letters where group_id > $1 order by group_id limit 1)
    union all
    select (select min(letter.group_id) from dead_letters letter where letter.group_id > named.group_id), place + 1
    from named where named.group_id is not null and place < $2)
select named.group_id as \"group\", first.consumer, first.event_type, first.cause, counted.letters, counted.keys,
    first.buried_at as first_at, last.buried_at as last_at, first.id as example
from named
cross join lateral (select id, consumer, event_type, cause, buried_at from dead_letters letter
    where letter.group_id = named.group_id order by id limit 1) first
cross join lateral (select buried_at from dead_letters letter
    where letter.group_id = named.group_id order by id desc limit 1) last
cross join lateral (select count(*) as letters, count(distinct (topic, key)) as keys from (
    select topic, key from dead_letters letter where letter.group_id = named.group_id order by id limit $3) few) counted
where named.group_id is not null
order by named.group_id";

/// Lists up to `limit` groups whose names come after `after`, in the order of their names.
///
/// # Errors
/// Fails if the query fails.
pub async fn groups(conn: &mut AsyncPgConnection, after: Option<GroupId>, limit: i64) -> QueryResult<Vec<Group>> {
    diesel::sql_query(GROUPS)
        .bind::<Text, _>(after.map_or_else(String::new, |after| after.0))
        .bind::<BigInt, _>(limit)
        .bind::<BigInt, _>(COUNTED)
        .load(conn)
        .await
}

/// Dead letters that are in no group yet, because their causes are still to be found.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema, QueryableByName)]
#[schema(as = UngroupedDeadLetters)]
pub struct Ungrouped {
    /// How many there are. 10,000 stands for as many or more, here and below.
    #[diesel(sql_type = BigInt)]
    pub letters: i64,
    /// How many keys are concerned.
    #[diesel(sql_type = BigInt)]
    pub keys: i64,
    /// The number of the first.
    #[diesel(sql_type = BigInt)]
    pub example: i64,
}

const UNGROUPED: &str = "select count(*) as letters, count(distinct (topic, key)) as keys, min(id) as example
    from (select id, topic, key from dead_letters where error is not null and group_id is null order by id limit $1) few
    having count(*) > 0";

/// Counts the letters that failed and are in no group yet; none if there are none.
///
/// # Errors
/// Fails if the query fails.
pub async fn ungrouped(conn: &mut AsyncPgConnection) -> QueryResult<Option<Ungrouped>> {
    diesel::sql_query(UNGROUPED).bind::<BigInt, _>(COUNTED).get_result(conn).await.optional()
}

/// How many letters get their cause at once.
const SOME: i64 = 500;

/// What is left of the letters that were there before causes were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There may be more of them.
    Some,
    /// All that are left are being changed or replayed just now.
    Locked,
    Nothing,
}

/// Finds the causes of some letters that were there before causes were.
pub(super) async fn group_some(conn: &mut AsyncPgConnection) -> QueryResult<Left> {
    // The table's trigger does it.
    let grouped = diesel::sql_query(
        "update dead_letters set error = error where id in (
            select id from dead_letters where error is not null and group_id is null order by id limit $1 for update skip locked)",
    )
    .bind::<BigInt, _>(SOME)
    .execute(conn)
    .await?;
    if grouped > 0 {
        return Ok(Left::Some);
    }
    Ok(if ungrouped(conn).await?.is_some() { Left::Locked } else { Left::Nothing })
}

const TELL_SOME: &str = "with looked_at as (select id, consumer, topic, key from dead_letters where id > $1 order by id limit $2),
    told as (update dead_letters letter set error = $3 from looked_at
        where letter.id = looked_at.id and letter.error is null and letter.replay_requested_at is null
          and not exists (select from dead_letters ahead where ahead.consumer = looked_at.consumer and ahead.topic = looked_at.topic
              and ahead.key = looked_at.key and ahead.id < looked_at.id)
        returning letter.id)
    select max(id) as last from looked_at";

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = Nullable<BigInt>)]
    last: Option<i64>,
}

/// Looks among some letters behind the one with this number for those that wait with nothing ahead of them, as an older build
/// left them, and notes that with them. Returns the number of the last, if there were any.
pub(super) async fn tell_some(conn: &mut AsyncPgConnection, after: i64) -> QueryResult<Option<i64>> {
    let told = diesel::sql_query(TELL_SOME).bind::<BigInt, _>(after).bind::<BigInt, _>(SOME);
    let Last { last } = told.bind::<Text, _>(LEFT_BEHIND).get_result(conn).await?;
    Ok(last)
}
