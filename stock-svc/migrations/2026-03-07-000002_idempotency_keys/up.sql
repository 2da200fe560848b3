-- Answers to returns and adjustments, for whoever sends one again under its Idempotency-Key; forgotten after a day.
create table idempotency_keys (
    key text primary key,
    request bytea not null,
    body bytea not null,
    created_at timestamptz not null default now()
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
