-- A customer's bank may take money back that was captured: it is gone at once, and is back when the dispute is won.
create table disputes (
    id text primary key,
    seq bigint generated always as identity unique,
    payment_intent text not null references payment_intents,
    amount bigint not null check (amount > 0),
    currency text not null,
    reason text not null,
    status text not null check (status in ('needs_response', 'won', 'lost')),
    created_at timestamptz not null default now()
);
create index disputes_of_intent on disputes (payment_intent, seq);
