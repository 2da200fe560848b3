-- Movements are never deleted, since their sum is what is on hand. They are kept in a partition a year, so that what is
-- written stays small, and a year that is over can be dumped, or moved to another disk, by itself.
--
-- What is there becomes the first partition as it is, up to the end of the year of the latest movement: nothing is copied,
-- an index is built and a condition checked.
alter table movements alter column id drop identity;
alter table movements drop constraint movements_pkey;
alter table movements add constraint movements_before_pkey primary key (id, at);
alter index movements_by_sku rename to movements_before_by_sku;
alter table movements rename to movements_before;

-- A partitioned table has no identity before PostgreSQL 17.
create sequence movements_number as bigint;
select setval('movements_number', coalesce((select max(id) from movements_before), 0) + 1, false);

create table movements (
    id bigint not null default nextval('movements_number'),
    sku text not null,
    kind text not null constraint movements_kind_check check (kind in ('listed', 'adjusted', 'committed', 'restocked')),
    quantity bigint not null,
    order_id uuid,
    reason text,
    at timestamptz not null default now(),
    constraint movements_pkey primary key (id, at),
    constraint movements_check check ((order_id is not null) = (kind in ('committed', 'restocked')))
) partition by range (at);
create index movements_by_sku on movements (sku, id);
alter sequence movements_number owned by movements.id;

-- The partition for a year that is there ends in its number.
create function movements_year_begins(year integer) returns timestamptz
    language sql immutable strict
    return make_timestamptz(year, 1, 1, 0, 0, 0, 'UTC');

do $$
declare
    last constant integer := extract(year from greatest(now(), (select max(at) from movements_before)) at time zone 'UTC');
    name constant text := 'movements_until_' || last;
begin
    -- with this condition known, attaching needs not look at the rows again
    execute format('alter table movements_before add constraint before_next_year check (at < %L)',
        movements_year_begins(last + 1));
    alter table movements_before alter column id set default nextval('movements_number');
    execute format('alter table movements_before rename to %I', name);
    execute format('alter table movements attach partition %I for values from (minvalue) to (%L)',
        name, movements_year_begins(last + 1));
    execute format('alter table %I drop constraint before_next_year', name);
end $$;

-- Makes the partitions of the years to come, two of them: called at each housekeeping. Attaching lets inserts go on.
create function movements_upkeep() returns void
    language plpgsql as $$
declare
    year integer;
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('movements_upkeep'));
    select max(right(child.relname, 4)::integer) + 1 into year
        from pg_inherits join pg_class child on child.oid = inhrelid where inhparent = 'movements'::regclass;
    while year <= extract(year from now() at time zone 'UTC') + 2 loop
        name := 'movements_' || year;
        execute format('create table %I (like movements including defaults including constraints including indexes)', name);
        execute format('alter table movements attach partition %I for values from (%L) to (%L)',
            name, movements_year_begins(year), movements_year_begins(year + 1));
        year := year + 1;
    end loop;
end $$;
select movements_upkeep();
