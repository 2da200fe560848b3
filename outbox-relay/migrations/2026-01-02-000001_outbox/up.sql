-- A row that is here is pending: the relay deletes it once the broker has acknowledged it.
create table outbox (
    -- cache 1, the default, and `always`: numbers are handed out in order of time and never by hand, which is what
    -- lets the relay conclude that nothing can appear below an id any more.
    id         bigint generated always as identity (cache 1) primary key,
    event_id   uuid        not null,
    topic      text        not null,
    key        text        not null,
    -- [["name", "value"], ...]: pairs, since a header's name may come twice and their order is kept. json, not jsonb:
    -- only the relay reads them, and json is stored as it was written.
    headers    json        not null,
    payload    bytea       not null,
    created_at timestamptz not null default now()
) with (
    -- Every row is deleted soon after it was written, so the share of dead rows says nothing; their number does.
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 100000,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 50000,
    autovacuum_vacuum_cost_delay = 0
);

-- Rows that the broker refused for good, and the later rows of their key, which must not overtake them.
create table outbox_parked (
    id         bigint      primary key,
    event_id   uuid        not null,
    topic      text        not null,
    key        text        not null,
    headers    json        not null,
    payload    bytea       not null,
    created_at timestamptz not null,
    parked_at  timestamptz not null default now(),
    -- What the broker said; null for a row that waits behind another of its key.
    reason     text,
    -- What an operator wants done. Only the leading relay does it, so that nobody races it on a key.
    asked      text check (asked in ('retry', 'discard'))
);

create index outbox_parked_key on outbox_parked (topic, key, id);
create index outbox_parked_asked on outbox_parked (id) where asked is not null;
