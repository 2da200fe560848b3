-- Events that a consumer has handled. Partitioned by the time in the event's id (UUID v7), a partition a week, so that
-- old ones go with a drop instead of a delete.
create table inbox (
    consumer text not null,
    event_id uuid not null,
    primary key (consumer, event_id)
) partition by range (event_id);

-- The smallest UUID v7 of a moment.
create function inbox_bound(moment timestamptz) returns uuid
    language sql immutable strict
    return (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- Makes the partitions that reach back that far and two weeks ahead, and drops what is wholly older, with a week to
-- spare for a consumer that noted the reach a while ago. Attaching takes a weaker lock on inbox than creating in place.
-- While a drop waits for whoever reads the inbox, all consumers wait behind it: so it waits for a moment only, and what
-- could not be locked is left to the next call, a minute later.
create function inbox_upkeep(reach interval) returns void
    language plpgsql as $$
declare
    week constant interval := interval '7 days';
    oldest constant timestamptz :=
        date_bin(week, now() - reach - week, timestamptz '2024-01-01 00:00:00+00');
    starts timestamptz := oldest;
    patience constant text := current_setting('lock_timeout');
    partition text;
begin
    perform pg_advisory_xact_lock(hashtext('inbox_upkeep'));
    perform set_config('lock_timeout', '100ms', true);
    while starts < now() + 2 * week loop
        partition := 'inbox_' || to_char(starts at time zone 'UTC', 'YYYYMMDD');
        if to_regclass(partition) is null then
            begin
                execute format('create table %I (like inbox including all)', partition);
                execute format('alter table inbox attach partition %I for values from (%L) to (%L)',
                    partition, inbox_bound(starts), inbox_bound(starts + week));
            exception when lock_not_available then
                raise log 'the inbox is in use: % is made later', partition;
            end;
        end if;
        starts := starts + week;
    end loop;
    for partition in
        select child.relname from pg_inherits
        join pg_class child on child.oid = inhrelid
        where inhparent = 'inbox'::regclass
          and child.relname < 'inbox_' || to_char(oldest at time zone 'UTC', 'YYYYMMDD')
    loop
        begin
            execute format('drop table %I', partition);
        exception when lock_not_available then
            raise log 'the inbox is in use: % is dropped later', partition;
            exit;
        end;
    end loop;
    perform set_config('lock_timeout', patience, true);
end $$;

select inbox_upkeep('30 days');

-- Keys whose later events wait, because an earlier one could not be handled.
create table parked_keys (
    consumer text not null,
    topic text not null,
    key text not null,
    parked_at timestamptz not null default now(),
    primary key (consumer, topic, key)
);

-- Events that could not be handled, and those that wait behind them, in the order in which they were heard.
create table dead_letters (
    id bigint generated always as identity primary key,
    consumer text not null,
    topic text not null,
    partition integer not null,
    record_offset bigint not null,
    key text not null,
    -- [[name, value], ...] in the record's order
    headers json not null,
    -- the raw bytes; null when the record had none
    value bytea,
    event_id uuid,
    event_type text,
    -- why it is here; null when it only waits behind another
    error text,
    attempts integer not null,
    buried_at timestamptz not null default now(),
    replay_requested_at timestamptz,
    unique (consumer, topic, partition, record_offset)
);
create index dead_letters_by_key on dead_letters (consumer, topic, key, id);
create index dead_letters_to_replay on dead_letters (consumer, id) where replay_requested_at is not null;

-- How far a consumer has come: position is the next offset to handle; everything that was in the partition at
-- caught_up_to (database time) has been handled.
create table consumer_progress (
    consumer text not null,
    topic text not null,
    partition integer not null,
    position bigint not null,
    caught_up_to timestamptz,
    primary key (consumer, topic, partition)
) with (fillfactor = 50);

-- What is to happen at a moment unless it is cancelled: one timer of a kind for a key.
create table timers (
    kind text not null,
    key text not null,
    -- the hash by which Kafka gives the key its partition
    key_hash integer not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    not_before timestamptz not null default 'epoch',
    primary key (kind, key)
);
create index timers_by_due_at on timers (due_at);
