//! The consumer's progress, stored in `consumer_progress`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use diesel::QueryResult;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Integer, Text, Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::Record;
use crate::schema::consumer_progress;

/// Notes that everything up to and including these records is handled.
pub(crate) async fn note(mut conn: &AsyncPgConnection, consumer: &str, records: &[&Record]) -> QueryResult<()> {
    let mut reached = BTreeMap::new();
    for place in records.iter().map(|record| &record.place) {
        let position = reached.entry((place.topic.as_str(), place.partition)).or_insert(0);
        *position = place.offset.saturating_add(1).max(*position);
    }
    // in an order that all transactions share, as they lock these rows
    let (partitions, positions): (Vec<_>, Vec<_>) = reached.into_iter().unzip();
    let (topics, partitions) = partitions.into_iter().unzip();
    Note { consumer, topics, partitions, positions }.execute(&mut conn).await.map(drop)
}

crate::prepared! {
    struct Note<'a> {
        consumer: &'a str as Text,
        topics: Vec<&'a str> as Array<Text>,
        partitions: Vec<i32> as Array<Integer>,
        positions: Vec<i64> as Array<BigInt>,
    };
    "insert into consumer_progress as known (consumer, topic, partition, position) select ?, * from unnest(?, ?, ?) \
     on conflict (consumer, topic, partition) do update set position = greatest(known.position, excluded.position)"
}

/// Everything that was in the partition at the time `at` has been handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaughtUp {
    pub partition: (String, i32),
    pub position: i64,
    pub at: DateTime<Utc>,
}

/// The database's clock.
pub(crate) async fn now(conn: &mut AsyncPgConnection) -> QueryResult<DateTime<Utc>> {
    diesel::select(diesel::dsl::sql::<Timestamptz>("clock_timestamp()")).get_result(conn).await
}

/// Notes up to which time each partition has been read, and how far: events that concerned nobody were noted by no
/// transaction. It skips rows that a lane has locked, so that lanes never wait for it; the next round notes those.
pub(crate) async fn note_caught_up(
    conn: &mut AsyncPgConnection,
    consumer: &str,
    caught_up: &[CaughtUp],
) -> QueryResult<()> {
    if caught_up.is_empty() {
        return Ok(());
    }
    let noted = update_caught_up(conn, consumer, caught_up).await?;
    if noted < caught_up.len() {
        insert_missing(conn, consumer, caught_up).await?;
    }
    Ok(())
}

async fn update_caught_up(conn: &mut AsyncPgConnection, consumer: &str, caught_up: &[CaughtUp]) -> QueryResult<usize> {
    let topics: Vec<_> = caught_up.iter().map(|known| known.partition.0.as_str()).collect();
    let partitions: Vec<_> = caught_up.iter().map(|known| known.partition.1).collect();
    let positions: Vec<_> = caught_up.iter().map(|known| known.position).collect();
    let moments: Vec<_> = caught_up.iter().map(|known| known.at).collect();
    // This commit need not wait for the disk: what a crash loses is measured again a second later.
    diesel::sql_query(
        "with off as materialized (select set_config('synchronous_commit', 'off', true)) \
         update consumer_progress known set caught_up_to = greatest(known.caught_up_to, news.at), \
                position = greatest(known.position, news.position) \
         from off, (select topic, partition, told.position, at from consumer_progress \
               join unnest($2, $3, $4, $5) as told (topic, partition, position, at) using (topic, partition) \
               where consumer = $1 order by topic, partition for update of consumer_progress skip locked) news \
         where known.consumer = $1 and known.topic = news.topic and known.partition = news.partition",
    )
    .bind::<Text, _>(consumer)
    .bind::<Array<Text>, _>(topics)
    .bind::<Array<Integer>, _>(partitions)
    .bind::<Array<BigInt>, _>(positions)
    .bind::<Array<Timestamptz>, _>(moments)
    .execute(conn)
    .await
}

/// Inserts the rows of partitions in which nothing has been handled yet.
async fn insert_missing(conn: &mut AsyncPgConnection, consumer: &str, caught_up: &[CaughtUp]) -> QueryResult<()> {
    let known: Vec<(String, i32)> = consumer_progress::table
        .filter(consumer_progress::consumer.eq(consumer))
        .select((consumer_progress::topic, consumer_progress::partition))
        .load(conn)
        .await?;
    let missing: Vec<_> = caught_up
        .iter()
        .filter(|told| !known.contains(&told.partition))
        .map(|told| {
            (
                consumer_progress::consumer.eq(consumer),
                consumer_progress::topic.eq(&told.partition.0),
                consumer_progress::partition.eq(told.partition.1),
                consumer_progress::position.eq(told.position),
                consumer_progress::caught_up_to.eq(told.at),
            )
        })
        .collect();
    diesel::insert_into(consumer_progress::table).values(missing).on_conflict_do_nothing().execute(conn).await.map(drop)
}

/// Up to when each partition was known to be read, by whoever owned it.
pub(crate) async fn read_until(
    conn: &mut AsyncPgConnection,
    consumer: &str,
) -> QueryResult<Vec<(String, i32, DateTime<Utc>)>> {
    consumer_progress::table
        .filter(consumer_progress::consumer.eq(consumer))
        .filter(consumer_progress::caught_up_to.is_not_null())
        .select((
            consumer_progress::topic,
            consumer_progress::partition,
            consumer_progress::caught_up_to.assume_not_null(),
        ))
        .load(conn)
        .await
}

/// For each topic, how many of its partitions have been read to an end at least once.
pub(crate) async fn read_once(conn: &mut AsyncPgConnection, consumer: &str) -> QueryResult<Vec<(String, i64)>> {
    consumer_progress::table
        .filter(consumer_progress::consumer.eq(consumer))
        .filter(consumer_progress::caught_up_to.is_not_null())
        .group_by(consumer_progress::topic)
        .select((consumer_progress::topic, diesel::dsl::count_star()))
        .load(conn)
        .await
}
