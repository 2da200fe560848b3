-- Events to be told by webhook, one row a delivery: a duplicate is two rows with one event. Written with what they tell of.
create table webhook_deliveries (
    id bigint generated always as identity primary key,
    event_id text not null,
    body text not null,
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    delivered_at timestamptz,
    given_up_at timestamptz
);
create index due_deliveries on webhook_deliveries (due_at, id) where delivered_at is null and given_up_at is null;

-- What is to go wrong, as PUT /sandbox/faults said.
create table faults (
    the_one boolean primary key default true check (the_one),
    switched jsonb not null
);
insert into faults (switched) values ('{}');

-- Whether the bank ever reserved the money: a cancelled intent has let go of it, or never had it.
alter table payment_intents add column was_authorised boolean not null default false;
update payment_intents set was_authorised = true
    where exists (select from journal where payment_intent = payment_intents.id and operation = 'authorise');
