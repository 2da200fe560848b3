-- What staff said a refund was for, and the gateway's name for it.
alter table refunds add column reason text;
alter table refunds add column gateway_id text;

-- Answers that were given to a POST with an Idempotency-Key; only 202s. The request is kept as a hash.
create table idempotency_keys (
    key text primary key,
    request bytea not null,
    refund_id uuid not null,
    body bytea not null,
    created_at timestamptz not null default now()
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Double entry: a line moves its amount between two accounts, so that no line can be out of balance. What the customer has
-- pledged stands against what the gateway holds for us; captured, the pledge becomes revenue; a refund is paid by the gateway.
alter table ledger add column debit text;
alter table ledger add column credit text;
update ledger set
    debit = case operation when 'authorise' then 'gateway_clearing' when 'refund' then 'refunds' else 'customer' end,
    credit = case operation when 'authorise' then 'customer' when 'capture' then 'revenue' else 'gateway_clearing' end;
alter table ledger alter column debit set not null, alter column credit set not null;
alter table ledger add constraint ledger_moves_something check (amount > 0);
alter table ledger add constraint ledger_accounts check ((operation, debit, credit) in (
    ('authorise', 'gateway_clearing', 'customer'),
    ('void', 'customer', 'gateway_clearing'),
    ('capture', 'customer', 'revenue'),
    ('refund', 'refunds', 'gateway_clearing')
));

create function ledger_is_never_rewritten() returns trigger language plpgsql as $$
begin
    raise exception 'the ledger is never updated and never deleted: write a line that makes up for it';
end $$;
create trigger ledger_is_never_rewritten before update or delete or truncate on ledger
    for each statement execute function ledger_is_never_rewritten();

-- Each line as its two entries, which sum to nothing: debits count up, credits down.
create view ledger_entries as
    select id, payment_id, debit as account, amount, currency, operation, key, at from ledger
    union all
    select id, payment_id, credit, -amount, currency, operation, key, at from ledger;
create view ledger_balances as
    select payment_id, account, currency, sum(amount)::bigint as balance from ledger_entries
    group by payment_id, account, currency;
