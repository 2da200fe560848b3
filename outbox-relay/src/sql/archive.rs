//! The statements about the archive of published rows.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Bool, Double, Integer, Nullable, Text, Timestamptz};

statement! {
    /// Moves exactly these rows to the archive. One statement does both: a row that is published again after a crash must not
    /// be in the archive twice.
    ArchiveRows { ids: Vec<i64> } =>
    "with off as materialized (select set_config('synchronous_commit', 'off', true)),
    gone as (delete from outbox using off where id = any(" [ids: Array<BigInt>] ")
        returning id, event_id, topic, key, headers, payload, created_at)
    insert into outbox_archive (id, event_id, topic, key, headers, payload, created_at)
    select id, event_id, topic, key, headers, payload, created_at from gone"
}

statement! {
    /// Moves a parked row that was published to the archive.
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

statement! {
    /// Since when everything that was published is in the archive.
    WholeSince {} -> Nullable<Timestamptz> => "select whole_since from outbox_archive_state"
}

statement! {
    /// How many seconds rows are kept in the archive.
    ArchiveKept {} -> Nullable<Double> => "select extract(epoch from kept)::float8 from outbox_archive_state"
}

statement! {
    /// Rows of the archive by topic: how many, of how many keys, and from where to where.
    ArchiveSpans { topic: Option<String>, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, after: i64 }
        -> (Text, BigInt, BigInt, BigInt, BigInt, Timestamptz, Timestamptz) =>
    "select topic, count(*), count(distinct key), min(id), max(id), min(archived_at), max(archived_at)
    from outbox_archive where topic = coalesce(" [topic: Nullable<Text>] ", topic) and id > " [after: BigInt] "
        and archived_at >= coalesce(" [from: Nullable<Timestamptz>] ", '-infinity')
        and archived_at < coalesce(" [to: Nullable<Timestamptz>] ", 'infinity')
    group by topic order by topic"
}

statement! {
    /// How many rows of a topic the archive has.
    CountArchived { topic: String, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, after: i64 } -> BigInt =>
    "select count(*) from outbox_archive where topic = " [topic: Text] " and id > " [after: BigInt] "
        and archived_at >= coalesce(" [from: Nullable<Timestamptz>] ", '-infinity')
        and archived_at < coalesce(" [to: Nullable<Timestamptz>] ", 'infinity')"
}

statement! {
    /// The next rows of a topic in id order. A row is returned if the rows before it are within the limit of bytes.
    ReadArchive {
        topic: String, from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>, after: i64, rows: i64, bytes: i64
    } -> super::ReadColumns =>
    "select id, topic, key, headers, payload, false, created_at from (
        select *, sum(bytes) over (order by id rows unbounded preceding) as total from (
            select id, topic, key, headers, payload, created_at,
                octet_length(payload) + octet_length(headers::text) + octet_length(key) as bytes
            from outbox_archive where topic = " [topic: Text] " and id > " [after: BigInt] "
                and archived_at >= coalesce(" [from: Nullable<Timestamptz>] ", '-infinity')
                and archived_at < coalesce(" [to: Nullable<Timestamptz>] ", 'infinity')
            order by id limit " [rows: BigInt] "
        ) as sized
    ) as summed where total - bytes < " [bytes: BigInt] " order by id"
}

statement! {
    /// Who holds an advisory lock in this database, as far as the session may see it.
    WhoLeads { lock: i64 } -> Text =>
    "select concat_ws(', ', 'process ' || l.pid, 'application ' || nullif(a.application_name, ''), 'role ' || a.usename,
        'from ' || host(a.client_addr), 'since ' || date_trunc('second', a.backend_start))
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1
        and (l.classid::bigint << 32) | l.objid::bigint = " [lock: BigInt] "
        and l.database = (select oid from pg_database where datname = current_database())"
}

statement! {
    /// Whether the migrations have made the archive yet.
    ArchiveIsHere {} -> Bool => "select to_regclass('outbox_archive') is not null"
}

statement! {
    OutboxIsHere {} -> Bool => "select to_regclass('outbox') is not null"
}

statement! {
    /// Whether anything was ever put into the outbox.
    WasUsed {} -> Bool =>
    "select coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')), 0) > 0"
}

statement! {
    /// The topics of which the archive has rows.
    ArchivedTopics {} -> Text => "select distinct topic from outbox_archive order by topic"
}
