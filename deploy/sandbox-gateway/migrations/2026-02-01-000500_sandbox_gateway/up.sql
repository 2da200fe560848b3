create table payment_intents (
    id text primary key,
    amount bigint not null check (amount > 0),
    currency text not null,
    payment_method text,
    metadata jsonb not null,
    status text not null
        check (status in ('requires_payment_method', 'requires_confirmation', 'requires_capture', 'succeeded', 'canceled')),
    received bigint not null default 0 check (received between 0 and amount),
    refunded bigint not null default 0 check (refunded between 0 and received),
    last_payment_error jsonb,
    created_at timestamptz not null default now()
);

create table refunds (
    id text primary key,
    seq bigint generated always as identity unique,
    payment_intent text not null references payment_intents,
    amount bigint not null check (amount > 0),
    currency text not null,
    metadata jsonb not null,
    created_at timestamptz not null default now()
);
create index refunds_of_intent on refunds (payment_intent, seq);

-- one line an effect on money; never updated, never deleted
create table journal (
    id bigint generated always as identity primary key,
    payment_intent text not null references payment_intents,
    operation text not null check (operation in ('authorise', 'capture', 'void', 'refund')),
    amount bigint not null check (amount > 0),
    currency text not null,
    order_id text,
    idempotency_key text,
    at timestamptz not null default clock_timestamp()
);
create index journal_of_order on journal (order_id, id);
create index journal_of_intent on journal (payment_intent, id);

create table idempotency_keys (
    key text primary key,
    path text not null,
    parameters jsonb not null,
    status integer not null,
    body jsonb not null,
    created_at timestamptz not null default now()
);
