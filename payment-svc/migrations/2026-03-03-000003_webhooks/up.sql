-- What the gateway has told us by webhook, each event once: a second delivery finds its id here.
create table webhook_events (
    event_id text primary key,
    type text not null,
    intent text,
    outcome text not null check (outcome in ('applied', 'nothing_new', 'not_ours')),
    received_at timestamptz not null default now()
);
create index webhook_events_by_age on webhook_events (received_at);
-- By webhook a payment is found under the gateway's name for it.
create unique index payments_by_intent on payments (intent) where intent is not null;
