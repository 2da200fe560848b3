-- How far the inbox is to reach, as it was said last, and since when it really has all that was handled. What is older may
-- have been handled and dropped, so it never goes through, however far the inbox is to reach by now.
create table inbox_state (
    one boolean primary key default true check (one),
    reach interval,
    whole_since timestamptz not null
);
-- Where nothing was ever handled, nothing is forgotten.
insert into inbox_state (whole_since)
select case when exists (select from consumer_progress)
    then (select min(to_date(right(child.relname, 8), 'YYYYMMDD'))::timestamp at time zone 'UTC'
            from pg_inherits join pg_class child on child.oid = inhrelid where inhparent = 'inbox'::regclass)
    else '-infinity' end;

-- As before; and it notes what it was told, and what it has dropped.
create or replace function inbox_upkeep(reach interval) returns void
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
    update inbox_state set reach = inbox_upkeep.reach where inbox_state.reach is distinct from inbox_upkeep.reach;
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
        order by child.relname
    loop
        begin
            execute format('drop table %I', partition);
            update inbox_state set whole_since = greatest(whole_since,
                (to_date(right(partition, 8), 'YYYYMMDD')::timestamp at time zone 'UTC') + week);
        exception when lock_not_available then
            raise log 'the inbox is in use: % is dropped later', partition;
            exit;
        end;
    end loop;
    perform set_config('lock_timeout', patience, true);
end $$;
