-- Orders that were sent to order-svc. An answer that is lost on its way is asked for again with what is here.
create table checkouts (
    -- of what was sent, and under which key
    id bytea primary key,
    -- of the browser's cookie, which opens what is sealed
    checkout bytea not null,
    sealed bytea not null,
    sent_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index checkouts_of_browser on checkouts (checkout, sent_at);
create index checkouts_over on checkouts (expires_at);
