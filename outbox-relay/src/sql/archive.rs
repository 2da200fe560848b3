//! The statements about what was published.

use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Integer, Nullable};

statement! {
    /// Retires exactly these rows, as [`DeleteRows`](super::DeleteRows) does, and keeps them. Both or neither happen, so
    /// that after a crash what is published again is not in the archive twice.
    ArchiveRows { ids: Vec<i64> } =>
    "with off as materialized (select set_config('synchronous_commit', 'off', true)),
    gone as (delete from outbox using off where id = any(" [ids: Array<BigInt>] ")
        returning id, event_id, topic, key, headers, payload, created_at)
    insert into outbox_archive (id, event_id, topic, key, headers, payload, created_at)
    select id, event_id, topic, key, headers, payload, created_at from gone"
}

statement! {
    /// Lets go of a parked row that was published, and keeps it.
    ArchiveParked { id: i64 } =>
    "with gone as (delete from outbox_parked where id = " [id: BigInt] "
        returning id, event_id, topic, key, headers, payload, created_at)
    insert into outbox_archive (id, event_id, topic, key, headers, payload, created_at)
    select id, event_id, topic, key, headers, payload, created_at from gone"
}

statement! {
    /// Makes partitions ahead and drops those that are over; says how many could not be dropped. None: nothing is
    /// archived.
    TendArchive { seconds: Option<i64> } -> Integer =>
    "select outbox_archive_tend(" [seconds: Nullable<BigInt>] ")"
}
