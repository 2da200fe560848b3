//! One dead letter, decoded, with its place in the queue of its key.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;

use super::content::{Header, Payload, shown};
use super::{COUNTED, DeadLetter, get, http, of_key};
use crate::schema::dead_letters;

/// How many of those that wait behind a letter are named.
const NAMED: i64 = 5;

/// What waits behind a letter in its key.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = BehindDeadLetter)]
pub struct Behind {
    /// How many; 10,000 stands for as many or more.
    pub count: i64,
    /// The first few.
    pub first: Vec<DeadLetter>,
}

/// A dead letter as people read it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = WholeDeadLetter, example = json!(http::examples::whole()))]
pub struct Shown {
    /// Everything but the content.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// Its headers, in the record's order.
    pub headers: Vec<Header>,
    /// The record's value.
    pub payload: Payload,
    /// How many of its key are replayed before it; 10,000 stands for as many or more.
    pub ahead: i64,
    /// What waits behind it.
    pub behind: Behind,
}

/// How many of its key are replayed before a letter, and how many after it.
#[derive(QueryableByName)]
pub(super) struct Queue {
    #[diesel(sql_type = BigInt)]
    pub ahead: i64,
    #[diesel(sql_type = BigInt)]
    pub behind: i64,
}

const QUEUE: &str = "select
    (select count(*) from (select from dead_letters
        where consumer = $1 and topic = $2 and key = $3 and id < $4 limit $5) counted) as ahead,
    (select count(*) from (select from dead_letters
        where consumer = $1 and topic = $2 and key = $3 and id > $4 limit $5) counted) as behind";

pub(super) async fn queue(conn: &mut AsyncPgConnection, letter: &DeadLetter) -> QueryResult<Queue> {
    diesel::sql_query(QUEUE)
        .bind::<Text, _>(&letter.consumer)
        .bind::<Text, _>(&letter.topic)
        .bind::<Text, _>(&letter.key)
        .bind::<BigInt, _>(letter.id)
        .bind::<BigInt, _>(COUNTED)
        .get_result(conn)
        .await
}

/// Reads a dead letter with all that is known of it.
///
/// # Errors
/// Fails if a query fails.
pub async fn show(conn: &mut AsyncPgConnection, id: i64) -> QueryResult<Option<Shown>> {
    let Some(whole) = get(conn, id).await? else { return Ok(None) };
    let letter = whole.letter;
    let queue = queue(conn, &letter).await?;
    let first = of_key(&letter.consumer, &letter.topic, &letter.key)
        .filter(dead_letters::id.gt(id))
        .order(dead_letters::id)
        .limit(NAMED)
        .select(DeadLetter::as_select())
        .load(conn)
        .await?;
    let (headers, payload) = (shown(whole.headers), Payload::of(whole.value.as_deref()));
    let behind = Behind { count: queue.behind, first };
    Ok(Some(Shown { letter, headers, payload, ahead: queue.ahead, behind }))
}
