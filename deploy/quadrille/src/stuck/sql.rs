//! The questions to the services' databases. Each reads a bounded number of rows, by an index or from tables that are small
//! unless something is wrong.

/// The most orders, rows or keys of a kind that are read.
pub(crate) const MOST: usize = 10_000;

/// Orders that wait longer than they should, those that machines keep and those that people keep.
pub(super) const OVERDUE: &str = "select id, waiting_for, waiting_from, waiting_since as since from (
        (select * from orders where not waits_for_people and overdue_not_before < now() order by overdue_not_before limit $most)
        union all
        (select * from orders where waits_for_people and overdue_not_before < now() order by overdue_not_before limit $most)
    ) as looked_at
    where overdue_at < now() and status not in ('completed', 'cancelled') order by overdue_at";

/// Rows that no relay has published for three seconds.
pub(super) const OUTBOX: &str = "select key, min(created_at) as since from (
        select key, created_at from outbox order by id limit $most) as first
    where created_at < now() - interval '3 seconds' group by key order by since";

pub(super) const IS_RELAYED: &str = "select exists (select from pg_locks
    where locktype = 'advisory' and granted and objsubid = 1 and (classid::bigint << 32) | objid::bigint = $lock
        and database = (select oid from pg_database where datname = current_database())) as is_relayed";

pub(super) const PARKED: &str = "select topic, key, min(parked_at) as since, max(reason) as reason from (
        select * from outbox_parked order by id limit $most) as first
    group by topic, key order by since";

pub(super) const DEAD_LETTERS: &str =
    "select min(id) as id, key, min(buried_at) as since, count(*) - 1 as behind, (array_agg(event_type order by id))[1] as event,
        (array_agg(error order by id))[1] as error
    from (select * from dead_letters where consumer = '$service' order by id limit $most) as first
    group by topic, key order by since";

pub(super) const PROGRESS: &str =
    "select topic, partition, position, caught_up_to from consumer_progress where consumer = '$service'";

/// A timer waits for what was published before it was due, so it is a little late even when all is well.
pub(super) const TIMERS: &str = "select kind, count(*) as count, min(due_at) as since, max(attempts) as attempts,
        array_agg(key order by due_at) as keys
    from (select * from timers where due_at < now() - interval '10 seconds' order by due_at, kind, key limit $most) as first
    group by kind order by since";

/// Calls that have failed, and those that have had no answer for five seconds.
pub(super) const CALLS: &str =
    "select order_id, created_at, due_at, error_code, error, failing_since from gateway_calls
    where finished_at is null and (failing_since is not null or created_at < now() - interval '5 seconds')
    order by coalesce(failing_since, created_at) limit $most";

pub(super) const MESSAGES: &str = "select channel, count(*) as count, min(coalesce(failing_since, due_at)) as since,
        min(due_at) as next_try,
        (array_agg(error_code order by failing_since nulls last))[1] as error_code,
        (array_agg(last_error order by failing_since nulls last))[1] as error, array_agg(distinct order_id) as orders
    from (select * from notifications where ready and status = 'queued' order by due_at limit $most) as first
    where failing_since is not null or due_at < now() - interval '5 seconds'
    group by channel";
