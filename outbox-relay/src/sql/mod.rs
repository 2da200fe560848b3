//! Every statement of the relay. Each is prepared once a connection, since its text never changes.
//!
//! `append` has its own in [`crate::append`].

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Double, Integer, Json, Nullable, Text, Timestamptz, Uuid};

use crate::headers::StoredHeaders;

/// A statement of fixed text: literals with the binds between them, and what it returns.
macro_rules! statement {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $rust:ty),* } $(-> $out:ty)?
        => $head:literal $([$bind:ident: $sql:ty] $tail:literal)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, QueryId)]
        pub(crate) struct $name { $(pub $field: $rust),* }

        impl QueryFragment<Pg> for $name {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql($head);
                $(out.push_bind_param::<$sql, _>(&self.$bind)?; out.push_sql($tail);)*
                Ok(())
            }
        }

        $(impl Query for $name { type SqlType = $out; })?

        impl<Conn> diesel::RunQueryDsl<Conn> for $name {}
    };
}

mod archive;

pub(crate) use archive::{
    ArchiveIsHere, ArchiveKept, ArchiveParked, ArchiveRows, ArchiveSpans, ArchivedTopics, CountArchived, OutboxIsHere,
    ReadArchive, TendArchive, WasUsed, WhoLeads, WholeSince,
};

/// A row as the relay reads it.
#[derive(Debug, diesel::Queryable)]
pub(crate) struct ReadRow {
    pub id: i64,
    pub topic: String,
    pub key: String,
    pub headers: StoredHeaders,
    pub payload: Vec<u8>,
    /// Rows of its key are parked.
    pub parked: bool,
    /// When the transaction that appended it began.
    pub created_at: DateTime<Utc>,
}

impl ReadRow {
    /// The bytes that count against the bounds of batches, as the statements count them.
    pub const fn bytes(&self) -> usize {
        self.payload.len() + self.headers.bytes + self.key.len()
    }
}

/// The types of a [`ReadRow`].
pub(crate) type ReadColumns = (BigInt, Text, Text, Json, Binary, Bool, Timestamptz);

statement! {
    /// What lies above the read position, for as long as nothing may still appear below it. A row is returned if the
    /// rows before it are within the limit of bytes, so that one row at least always is. The rows are counted first: to
    /// carry whole rows through the window takes PostgreSQL longer than to look at them twice.
    ReadAhead { position: i64, rows: i64, bytes: i64 } -> ReadColumns =>
    "select id, topic, key, headers, payload, case when (select exists (select from outbox_parked)) then exists (
        select from outbox_parked p where p.topic = o.topic and p.key = o.key) else false end, created_at
    from outbox o where id > " [position: BigInt] " order by id limit (
        select count(*) from (
            select sum(bytes) over (order by id rows unbounded preceding) - bytes as before from (
                select id, octet_length(payload) + octet_length(headers::text) + octet_length(key) as bytes
                from outbox where id > " [position: BigInt] " order by id limit " [rows: BigInt] "
            ) as sized
        ) as summed where before < " [bytes: BigInt] "
    )"
}

statement! {
    /// What lies in the gaps below the read position and then what lies above it, in one snapshot: read one after the
    /// other, a key's later row could be seen without its earlier one.
    ReadGapsAndAhead { lows: Vec<i64>, highs: Vec<i64>, position: i64, rows: i64, bytes: i64 } -> ReadColumns =>
    "select id, topic, key, headers, payload, parked, created_at from (
        select *, sum(bytes) over (order by id rows unbounded preceding) as total from (
            select id, topic, key, headers, payload, created_at,
                octet_length(payload) + octet_length(headers::text) + octet_length(key) as bytes,
                case when (select exists (select from outbox_parked)) then exists (
                    select from outbox_parked p where p.topic = o.topic and p.key = o.key) else false end as parked
            from (
                (select late.* from unnest(" [lows: Array<BigInt>] ", " [highs: Array<BigInt>] ") as gap (low, high),
                    lateral (select * from outbox where id between gap.low and gap.high order by id limit "
                    [rows: BigInt] ") as late)
                union all
                (select * from outbox where id > " [position: BigInt] " order by id limit " [rows: BigInt] ")
                order by id limit " [rows: BigInt] "
            ) as o
        ) as sized
    ) as summed where total - bytes < " [bytes: BigInt] " order by id"
}

statement! {
    /// One row, with whether its key is parked by now.
    ReadOne { id: i64 } -> ReadColumns =>
    "select id, topic, key, headers, payload, exists (
        select from outbox_parked p where p.topic = o.topic and p.key = o.key), created_at
    from outbox o where id = " [id: BigInt] ""
}

statement! {
    /// Retires exactly these rows. After a crash they may be published again, which consumers must absorb anyway, so
    /// this commit need not wait for the disk; the setting ends with this statement's own transaction.
    DeleteRows { ids: Vec<i64> } =>
    "with off as materialized (select set_config('synchronous_commit', 'off', true))
    delete from outbox using off where id = any(" [ids: Array<BigInt>] ")"
}

statement! {
    /// The transactions that may have drawn an id and not ended: an insert takes this lock before it draws one. A
    /// prepared transaction has no pid.
    Holders {} -> Array<Text> =>
    "select coalesce(array_agg(virtualtransaction || '/' || coalesce(pid, 0)), '{}') from pg_locks
    where locktype = 'relation' and mode = 'RowExclusiveLock' and relation = 'outbox'::regclass
        and database = (select oid from pg_database where datname = current_database())
        and pid is distinct from pg_backend_pid()"
}

statement! {
    /// Parks the row that was refused.
    ParkCulprit { id: i64, reason: String } =>
    "with moved as (delete from outbox where id = " [id: BigInt] " returning *)
    insert into outbox_parked (id, event_id, topic, key, headers, payload, created_at, reason)
    select id, event_id, topic, key, headers, payload, created_at, " [reason: Text] " from moved"
}

statement! {
    /// Moves rows behind the parked ones of their key. Where a retry of the key is asked for, they take part in it.
    ParkBehind { ids: Vec<i64> } =>
    "with moved as (delete from outbox where id = any(" [ids: Array<BigInt>] ") returning *)
    insert into outbox_parked (id, event_id, topic, key, headers, payload, created_at, asked)
    select id, event_id, topic, key, headers, payload, created_at, (
        select p.asked from outbox_parked p
        where p.topic = moved.topic and p.key = moved.key and p.asked = 'retry' limit 1)
    from moved"
}

statement! {
    /// A key whose parked rows shall be published now.
    RetryAsked {} -> (Text, Text) =>
    "select topic, key from outbox_parked where asked = 'retry' order by id limit 1"
}

statement! {
    /// The parked row of a key that comes next.
    FirstParked { topic: String, key: String } -> ReadColumns =>
    "select id, topic, key, headers, payload, true, created_at from outbox_parked
    where topic = " [topic: Text] " and key = " [key: Text] " order by id limit 1"
}

statement! {
    /// Deletes a parked row that was published.
    DeleteParked { id: i64 } => "delete from outbox_parked where id = " [id: BigInt] ""
}

statement! {
    /// Deletes the parked rows that an operator wants dropped, and asks for a retry of those that waited behind them.
    DeleteDiscarded {} =>
    "with gone as (delete from outbox_parked where asked = 'discard' returning topic, key)
    update outbox_parked p set asked = 'retry' from gone
    where p.topic = gone.topic and p.key = gone.key and p.asked is null"
}

statement! {
    /// Notes that the row was refused again: its key waits until an operator asks again.
    RefusedAgain { id: i64, reason: String } =>
    "update outbox_parked p set asked = null,
        reason = case when p.id = first.id then " [reason: Text] " else p.reason end
    from outbox_parked first
    where first.id = " [id: BigInt] " and p.topic = first.topic and p.key = first.key and p.asked = 'retry'"
}

statement! {
    /// The age of the oldest pending row in seconds, if there is one.
    OldestPending {} -> Nullable<Double> =>
    "select (select extract(epoch from clock_timestamp() - created_at)::float8 from outbox order by id limit 1)"
}

statement! {
    /// The age of the oldest pending row in seconds, the last id handed out, how many rows are parked (it stops counting
    /// at ten thousand), and whether anything is asked for them. `floor` is an id below which nothing is left.
    Gauges { floor: i64 } -> (Nullable<Double>, Nullable<BigInt>, BigInt, Bool) =>
    "select
        (select extract(epoch from clock_timestamp() - created_at)::float8
            from outbox where id > " [floor: BigInt] " order by id limit 1),
        pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass),
        (select count(*) from (select from outbox_parked limit 10000) as parked),
        exists (select from outbox_parked where asked is not null)"
}

statement! {
    /// The rights that a relay needs and a role (the session's own when none is given) doesn't have, as `grant` takes
    /// them. Those on tables that aren't there, or in a schema that the session may not look into, are among them.
    Lacking { role: Option<String> } -> Array<Text> =>
    "with outbox as (
        select to_regclass('outbox') as rows, to_regclass('outbox_parked') as parked,
            to_regclass('outbox_archive') as archive, to_regclass('outbox_archive_state') as state,
            to_regprocedure('outbox_archive_tend(bigint)') as tend,
            case when to_regclass('outbox') is not null then
                pg_get_serial_sequence('outbox', 'id')::regclass end as ids,
            (select nspname from pg_namespace n join pg_class c on c.relnamespace = n.oid
                where c.oid = to_regclass('outbox')) as schema,
            coalesce(" [role: Nullable<Text>] ", current_user)::name as role
    )
    select coalesce(array_agg(needed.\"grant\" order by place), '{}') from outbox cross join lateral (values
        (1, concat('usage on schema ', quote_ident(schema)), has_schema_privilege(role, schema, 'usage')),
        (2, 'select on outbox', has_table_privilege(role, rows, 'select')),
        (3, 'delete on outbox', has_table_privilege(role, rows, 'delete')),
        (4, concat('select on sequence ', ids), has_sequence_privilege(role, ids, 'select')),
        (5, 'select on outbox_parked', has_table_privilege(role, parked, 'select')),
        (6, 'insert on outbox_parked', has_table_privilege(role, parked, 'insert')),
        (7, 'delete on outbox_parked', has_table_privilege(role, parked, 'delete')),
        (8, 'update (asked, reason) on outbox_parked',
            has_column_privilege(role, parked, 'asked', 'update')
            and has_column_privilege(role, parked, 'reason', 'update')),
        (9, 'select on outbox_archive', has_table_privilege(role, archive, 'select')),
        (10, 'insert on outbox_archive', has_table_privilege(role, archive, 'insert')),
        (11, 'select on outbox_archive_state', has_table_privilege(role, state, 'select')),
        (12, 'execute on function outbox_archive_tend(bigint)', has_function_privilege(role, tend, 'execute'))
    ) as needed (place, \"grant\", held) where held is not true"
}

statement! {
    /// Whether the outbox is there, and who the session is.
    WhereAmI {} -> (Bool, Text) =>
    "select to_regclass('outbox') is not null and to_regclass('outbox_parked') is not null
        and to_regclass('outbox_archive') is not null, current_user::text"
}

statement! {
    /// Why the database takes no writes, if so.
    TakesNoWrites {} -> Nullable<Text> =>
    "select case when pg_is_in_recovery() then 'it is a standby of another server'
        when current_setting('transaction_read_only')::boolean then 'its transactions are read-only' end"
}

statement! {
    /// Whether the server has such a role.
    RoleExists { role: String } -> Bool => "select exists (select from pg_roles where rolname = " [role: Text] ")"
}

statement! {
    /// Waits for other sessions that grant, and keeps them waiting until the transaction ends.
    GrantLock { lock: i64 } => "select pg_advisory_xact_lock(" [lock: BigInt] ")"
}

statement! {
    /// Takes the leader's lock for this session, unless another holds it.
    TryLead { lock: i64 } -> Bool => "select pg_try_advisory_lock(" [lock: BigInt] ")"
}

statement! {
    /// Names the session for others, if it has no name.
    NameSession { name: String } =>
    "select set_config('application_name', " [name: Text] ", false) where current_setting('application_name') = ''"
}

statement! {
    /// Whether the session is still there.
    Ping {} -> Integer => "select 1"
}

statement! {
    /// Parked rows in id order, beginning after one of them.
    List { after: i64, limit: i64 }
        -> (BigInt, Uuid, Text, Text, Timestamptz, Timestamptz, Nullable<Text>, Nullable<Text>) =>
    "select id, event_id, topic, key, created_at, parked_at, reason, asked from outbox_parked
    where id > " [after: BigInt] " order by id limit " [limit: BigInt] ""
}

statement! {
    /// Asks for a key's parked rows to be published.
    Retry { topic: String, key: String } =>
    "update outbox_parked set asked = 'retry'
    where topic = " [topic: Text] " and key = " [key: Text] " and asked is null"
}

statement! {
    /// Asks for a parked row to be dropped.
    Discard { id: i64 } => "update outbox_parked set asked = 'discard' where id = " [id: BigInt] ""
}
