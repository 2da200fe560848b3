-- Makes the partitions that reach back that far and two weeks ahead, and drops what is wholly older, with a week to
-- spare for a consumer that noted the reach a while ago. Attaching takes a weaker lock on inbox than creating in place.
-- While a drop waits for whoever reads the inbox, all consumers wait behind it: so it waits for a moment only, and what
-- could not be locked is left to the next call, a minute later.
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

drop table inbox_state;
