-- What was published, for as long as OUTBOX_RELAY_ARCHIVE says; it stays empty where that isn't set. The statement that
-- takes a row from the outbox puts it here.
create table outbox_archive (
    id          bigint      not null,
    event_id    uuid        not null,
    topic       text        not null,
    key         text        not null,
    headers     json        not null,
    payload     bytea       not null,
    created_at  timestamptz not null,
    -- When the broker had acknowledged it. Within a key these times have the order of the ids.
    archived_at timestamptz not null default now()
) partition by range (archived_at);

create index outbox_archive_topic on outbox_archive (topic, id);

create table outbox_archive_state (
    one         boolean primary key default true check (one),
    -- How long rows are kept, as it was said last.
    kept        interval,
    -- Everything that was published since then is in the archive. Null while nothing is archived.
    whole_since timestamptz
);

insert into outbox_archive_state default values;

-- Makes the archive's partitions ahead of time and drops those that are over. The leading relay calls it, when it begins
-- to lead and every minute. It runs as the owner of the tables, since only an owner may make and drop partitions: so a
-- relay's role needs no right but this, and can make nothing else. Null says that nothing is archived any more; what is
-- there goes when its time is over. Says how many partitions could not be dropped, because somebody was reading.
--
-- Attaching a partition lets inserts go on. Dropping one waits for whoever reads the archive, and meanwhile nobody else
-- gets at it: therefore not for long, it is tried again a minute later.
create function outbox_archive_tend(keep_seconds bigint) returns integer
language plpgsql security definer set lock_timeout = '200ms' as $tend$
declare
    origin   constant timestamptz := '2000-01-01 00:00:00+00';
    keep     interval := make_interval(secs => keep_seconds);
    -- Few partitions, and not much more on disk than what is to be kept.
    width    constant interval := case
        when keep <= '3 hours' then interval '10 minutes'
        when keep <= '3 days' then interval '1 hour'
        when keep <= '100 days' then interval '1 day'
        else interval '7 days' end;
    low      timestamptz;
    high     timestamptz;
    name     text;
    part     record;
    in_use   integer := 0;
    state    outbox_archive_state;
begin
    select * into state from outbox_archive_state for update; -- one at a time
    if keep is not null then
        if state.kept is distinct from keep or state.whole_since is null then
            update outbox_archive_state set kept = keep, whole_since = coalesce(whole_since, now());
        end if;
        select max(p.high) into high from outbox_archive_partitions p;
        while high is null or high <= now() + 2 * width loop
            low := greatest(high, date_bin(width, now(), origin));
            high := date_bin(width, low, origin) + width;
            name := 'outbox_archive_' || to_char(low at time zone 'utc', 'YYYYMMDD"_"HH24MI');
            execute format('create table %I (like outbox_archive including defaults)', name);
            execute format('alter table outbox_archive attach partition %I for values from (%L) to (%L)', name, low, high);
        end loop;
    elsif state.kept is null then
        return 0;
    else
        keep := state.kept;
        update outbox_archive_state set whole_since = null where whole_since is not null;
    end if;
    for part in select p.* from outbox_archive_partitions p where p.high < now() - keep order by p.high loop
        begin
            execute format('drop table %s', part.partition);
            update outbox_archive_state set whole_since = part.high where whole_since < part.high;
        exception when lock_not_available then
            in_use := in_use + 1;
        end;
    end loop;
    return in_use;
end
$tend$;

-- The archive's partitions and the times that they are for: from low, and before high.
create view outbox_archive_partitions as
    select inhrelid::regclass as partition,
        (regexp_match(bound, 'FROM \(''([^'']+)''\)'))[1]::timestamptz as low,
        (regexp_match(bound, 'TO \(''([^'']+)''\)'))[1]::timestamptz as high
    from (select i.inhrelid, pg_get_expr(c.relpartbound, c.oid) as bound
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'outbox_archive'::regclass and c.relpartbound is not null offset 0) as parts;

-- Others may call it only where they were granted it, and can put no tables of their own in the way of its names.
revoke all on function outbox_archive_tend(bigint) from public;
do $path$ begin
    execute format('alter function outbox_archive_tend(bigint) set search_path = %I, pg_temp', current_schema());
end $path$;
