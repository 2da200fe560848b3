-- The payment of an order, and the root row of the order's key: locked first by all that speaks on payments.v1.
create table payments (
    order_id uuid primary key,
    payment_id uuid not null unique,
    state text not null,
    amount bigint check (amount >= 0),
    currency text,
    deadline timestamptz,
    expired boolean not null default false,
    void_requested boolean not null default false,
    unanswered boolean not null default false,
    intent text,
    failure_code text,
    attempts integer not null default 0,
    captured bigint not null default 0,
    refunded bigint not null default 0,
    said bigint not null default 0,
    updated_at timestamptz not null default now(),
    check (captured in (0, amount)),
    check (refunded between 0 and captured),
    check ((amount is null) = (currency is null))
);

-- How it is paid and for what, as order.placed said. Never updated.
create table charges (
    order_id uuid primary key references payments,
    method text not null,
    lines jsonb not null
);

-- Written before the gateway is called, never deleted.
create table refunds (
    refund_id uuid primary key,
    seq bigint generated always as identity,
    payment_id uuid not null references payments (payment_id),
    amount bigint not null check (amount > 0),
    state text not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index refunds_of_payment on refunds (payment_id, seq);

-- What is to be asked of the gateway. due_at is moved on by a lease while a worker asks, and by the backoff after it.
create table gateway_calls (
    key text primary key,
    payment_id uuid not null references payments (payment_id),
    order_id uuid not null,
    operation text not null,
    refund_id uuid references refunds (refund_id),
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    caused_by uuid,
    traceparent text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    outcome text,
    check ((finished_at is null) = (outcome is null))
);
create unique index one_unfinished_call_a_payment on gateway_calls (payment_id) where finished_at is null;
create index due_calls on gateway_calls (due_at) where finished_at is null;

-- One line an effect on money; never updated, never deleted. Equals the gateway's own journal.
create table ledger (
    id bigint generated always as identity primary key,
    payment_id uuid not null references payments (payment_id),
    operation text not null,
    amount bigint not null,
    currency text not null,
    key text not null unique,
    at timestamptz not null default clock_timestamp()
);
create index ledger_of_payment on ledger (payment_id, id);
