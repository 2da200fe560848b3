//! The inbox: which events have been handled.

use std::{collections::HashSet, time::Duration};

use diesel::sql_types::{Array, Double, Nullable, Text, Uuid as SqlUuid};
use diesel::{OptionalExtension, QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// The event ids that the inbox can hold now, by database time. The range includes the coming week, for producers
/// whose clocks run ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Range {
    #[diesel(sql_type = SqlUuid)]
    pub from: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub to: Uuid,
}

impl Range {
    /// The range as of the last upkeep; it never begins before the moment since which the inbox is complete. None if
    /// the inbox's reach was never set and `otherwise` gives none: a guessed reach could refuse events that nobody
    /// has handled.
    pub async fn read(conn: &mut AsyncPgConnection, otherwise: Option<Duration>) -> QueryResult<Option<Self>> {
        diesel::sql_query(
            "select inbox_bound(greatest(now() - reach, whole_since)) as from,
                inbox_bound(now() + interval '7 days') as to
             from (select coalesce(reach, make_interval(secs => $1)) as reach, whole_since from inbox_state) as state
             where reach is not null",
        )
        .bind::<Nullable<Double>, _>(otherwise.map(|reach| reach.as_secs_f64()))
        .get_result(conn)
        .await
        .optional()
    }

    /// Why the inbox can't hold this id, if it can't.
    pub fn refuses(self, id: Uuid) -> Option<&'static str> {
        if id < self.from {
            Some("its id is older than the inbox reaches, so that it can't be told whether it was handled")
        } else if id >= self.to {
            Some("its id is from the future")
        } else {
            None
        }
    }
}

/// How far back the inbox has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Exactly this far.
    Known(Duration),
    /// At least this far, and no less than now; an inbox whose reach was never set also gets the fallback. Some
    /// topics' retention is unknown, and a shorter reach would drop partitions that may be needed.
    AtLeast(Duration),
    /// As far as now.
    AsBefore,
}

/// Creates the partitions that are needed and drops those that are too old. Returns the inbox's reach in seconds;
/// where the reach was never set it does nothing and returns none.
pub(crate) async fn upkeep(conn: &mut AsyncPgConnection, reach: Reach) -> QueryResult<Option<f64>> {
    #[derive(QueryableByName)]
    struct Reaches {
        #[diesel(sql_type = Double)]
        seconds: f64,
    }
    let (known, at_least, otherwise) = match reach {
        Reach::Known(reach) => (Some(reach), None, None),
        Reach::AtLeast(reach) => (None, Some(reach), Some(super::reach::reach(None, None))),
        Reach::AsBefore => (None, None, None),
    };
    let seconds = |reach: Option<Duration>| reach.map(|reach| reach.as_secs_f64());
    let reaches: Option<Reaches> = diesel::sql_query(
        "select extract(epoch from found)::float8 as seconds, inbox_upkeep(found) from (
            select coalesce(make_interval(secs => $1),
                greatest(coalesce(reach, make_interval(secs => $3)), make_interval(secs => $2))) as found
            from inbox_state) as state
         where found is not null",
    )
    .bind::<Nullable<Double>, _>(seconds(known))
    .bind::<Nullable<Double>, _>(seconds(at_least))
    .bind::<Nullable<Double>, _>(seconds(otherwise))
    .get_result(conn)
    .await
    .optional()?;
    Ok(reaches.map(|reaches| reaches.seconds))
}

/// Notes events as handled, and returns those that were not noted before. Only in a [`Transaction`], with whose `begin` it may
/// go out: without one an event would count as handled that is not.
///
/// [`Transaction`]: crate::transaction::Transaction
pub(crate) async fn insert(mut conn: &AsyncPgConnection, consumer: &str, ids: &[Uuid]) -> QueryResult<HashSet<Uuid>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(Insert { consumer, ids }.load(&mut conn).await?.into_iter().collect())
}

crate::prepared! {
    struct Insert<'a> { consumer: &'a str as Text, ids: &'a [Uuid] as Array<SqlUuid> } -> SqlUuid;
    "insert into inbox (consumer, event_id) select ?, unnest(?) where current_setting('transaction_deferrable') = 'on' \
     on conflict do nothing returning event_id"
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use diesel::result::Error;
    use futures_util::future::join;

    use super::*;
    use crate::testing::TestDb;
    use crate::transaction::Transaction;

    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_noted_that_goes_out_with_a_begin_that_fails() {
        let db = TestDb::new(&[crate::MIGRATIONS]).await;
        let (conn, ids) = (&mut *db.conn().await, [Uuid::now_v7()]);
        assert!(insert(conn, "c", &ids).await.unwrap().is_empty(), "no transaction has begun");
        let transaction = Transaction::on(conn).unwrap();
        let (begun, new) = join(transaction.begin(), insert(transaction.conn(), "c", &ids)).await;
        begun.unwrap();
        assert_eq!(new.unwrap(), HashSet::from(ids));
        transaction.end(Ok::<_, Error>(())).await.unwrap();
    }
}
