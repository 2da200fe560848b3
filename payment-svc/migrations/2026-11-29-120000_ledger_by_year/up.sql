-- The ledger is never deleted from, since it is the money. It is kept in a partition a year, so that what is written stays
-- small, and a year that is over can be dumped, or moved to another disk, by itself. The year is the one in which the payment
-- began, which its id tells (UUID v7): all lines of a payment stand in one partition, so that a key is unique there, and
-- whoever asks for one payment reads one partition.
--
-- What is there becomes the first partition as it is: nothing is copied, two indexes are built and a condition checked.
drop view ledger_balances;
drop view ledger_entries;
alter table ledger alter column id drop identity;
alter table ledger drop constraint ledger_pkey;
alter table ledger drop constraint ledger_key_key;
alter table ledger add constraint ledger_before_pkey primary key (id, payment_id);
alter table ledger add constraint ledger_before_key_key unique (key, payment_id);
alter index ledger_of_payment rename to ledger_before_of_payment;
alter table ledger rename to ledger_before;

-- A partitioned table has no identity before PostgreSQL 17.
create sequence ledger_number as bigint;
select setval('ledger_number', coalesce((select max(id) from ledger_before), 0) + 1, false);

create table ledger (
    id bigint not null default nextval('ledger_number'),
    payment_id uuid not null references payments (payment_id),
    operation text not null,
    amount bigint not null,
    currency text not null,
    key text not null,
    at timestamptz not null default clock_timestamp(),
    debit text not null,
    credit text not null,
    constraint ledger_pkey primary key (id, payment_id),
    constraint ledger_key unique (key, payment_id),
    constraint ledger_moves_something check (amount > 0),
    constraint ledger_accounts check ((operation, debit, credit) in (
        ('authorise', 'gateway_clearing', 'customer'),
        ('void', 'customer', 'gateway_clearing'),
        ('capture', 'customer', 'revenue'),
        ('refund', 'refunds', 'gateway_clearing'),
        ('refund_reversal', 'gateway_clearing', 'refunds'),
        ('refund_outside', 'refunds', 'bank')
    ))
) partition by range (payment_id);
create index ledger_of_payment on ledger (payment_id, id);
alter sequence ledger_number owned by ledger.id;
create trigger ledger_is_never_rewritten before update or delete or truncate on ledger
    for each statement execute function ledger_is_never_rewritten();

-- The least id that a payment of the year can have.
create function ledger_year_begins(year integer) returns uuid
    language sql immutable strict
    return (rpad(lpad(to_hex((extract(epoch from make_timestamptz(year, 1, 1, 0, 0, 0, 'UTC')) * 1000)::bigint), 12, '0'), 32, '0'))::uuid;

-- The partition for a year that is there ends in its number.
do $$
declare
    latest constant text := (select max(replace(payment_id::text, '-', '')) from ledger_before);
    -- a clock may have been ahead
    made_at constant timestamptz := to_timestamp(('x' || left(latest, 12))::bit(48)::bigint / 1000.0);
    last constant integer := extract(year from greatest(now(), made_at) at time zone 'UTC');
    name constant text := 'ledger_until_' || last;
begin
    alter table ledger_before alter column id set default nextval('ledger_number');
    execute format('alter table ledger_before rename to %I', name);
    execute format('alter table ledger attach partition %I for values from (minvalue) to (%L)',
        name, ledger_year_begins(last + 1));
end $$;

-- Lines of a payment whose id tells no such time, as one that was made by hand: money is never refused for its number.
create table ledger_other partition of ledger default;
create trigger ledger_is_never_rewritten before update or delete or truncate on ledger_other
    for each statement execute function ledger_is_never_rewritten();

-- Makes the partitions of the years to come, two of them: called at each housekeeping. Attaching lets inserts go on.
create function ledger_upkeep() returns void
    language plpgsql as $$
declare
    year integer;
    name text;
begin
    perform pg_advisory_xact_lock(hashtext('ledger_upkeep'));
    select max(right(child.relname, 4)::integer) + 1 into year
        from pg_inherits join pg_class child on child.oid = inhrelid
        where inhparent = 'ledger'::regclass and child.relname <> 'ledger_other';
    while year <= extract(year from now() at time zone 'UTC') + 2 loop
        name := 'ledger_' || year;
        execute format('create table %I (like ledger including defaults including constraints including indexes)', name);
        execute format('create trigger ledger_is_never_rewritten before update or delete or truncate on %I
            for each statement execute function ledger_is_never_rewritten()', name);
        execute format('alter table ledger attach partition %I for values from (%L) to (%L)',
            name, ledger_year_begins(year), ledger_year_begins(year + 1));
        year := year + 1;
    end loop;
end $$;
select ledger_upkeep();

-- Each line as its two entries, which sum to nothing: debits count up, credits down.
create view ledger_entries as
    select id, payment_id, debit as account, amount, currency, operation, key, at from ledger
    union all
    select id, payment_id, credit, -amount, currency, operation, key, at from ledger;
create view ledger_balances as
    select payment_id, account, currency, sum(amount)::bigint as balance from ledger_entries
    group by payment_id, account, currency;
