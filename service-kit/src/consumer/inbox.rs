//! The inbox: which events have been handled.

use std::{collections::HashSet, time::Duration};

use diesel::sql_types::{Array, Double, Nullable, Text, Uuid as SqlUuid};
use diesel::{QueryResult, QueryableByName};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// The ids that have a place in the inbox now, by database time. Ids of the coming week have one too, for clocks that
/// run ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, QueryableByName)]
pub(crate) struct Range {
    #[diesel(sql_type = SqlUuid)]
    pub from: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub to: Uuid,
}

impl Range {
    /// The range of the inbox as it was looked after last: never from before it is whole.
    pub async fn read(conn: &mut AsyncPgConnection) -> QueryResult<Self> {
        diesel::sql_query(
            "select inbox_bound(greatest(now() - coalesce(reach, interval '30 days'), whole_since)) as from,
                inbox_bound(now() + interval '7 days') as to
             from inbox_state",
        )
        .get_result(conn)
        .await
    }

    /// Why an id has no place, if it has none.
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

/// Makes the partitions that are needed now and drops those that are too old; as far back as last time where it isn't
/// known now how far the inbox has to reach.
pub(crate) async fn upkeep(conn: &mut AsyncPgConnection, reach: Option<Duration>) -> QueryResult<()> {
    diesel::sql_query(
        "select inbox_upkeep(coalesce(make_interval(secs => $1), reach, interval '30 days')) from inbox_state",
    )
    .bind::<Nullable<Double>, _>(reach.map(|reach| reach.as_secs_f64()))
    .execute(conn)
    .await
    .map(drop)
}

/// Notes events as handled, and returns those that were not noted before.
pub(crate) async fn insert(conn: &mut AsyncPgConnection, consumer: &str, ids: &[Uuid]) -> QueryResult<HashSet<Uuid>> {
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    Ok(Insert { consumer, ids }.load(conn).await?.into_iter().collect())
}

crate::prepared! {
    struct Insert<'a> { consumer: &'a str as Text, ids: &'a [Uuid] as Array<SqlUuid> } -> SqlUuid;
    "insert into inbox (consumer, event_id) select ?, unnest(?) on conflict do nothing returning event_id"
}
