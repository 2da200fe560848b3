-- Every event that was heard, as it came.
create table events (
    -- ce_id
    id uuid primary key,
    topic text not null,
    partition integer not null,
    record_offset bigint not null,
    key text not null,
    type text not null,
    source text not null,
    -- the order that it is about, if it is about one
    order_id uuid,
    sequence bigint,
    causation_id uuid,
    -- when the change was made, by its producer's clock
    time timestamptz not null,
    -- when Kafka took it
    sent_at timestamptz,
    heard_at timestamptz not null default now(),
    headers jsonb not null,
    -- none once its person is forgotten
    body text
);
create index events_of_order on events (order_id, time) where order_id is not null;
create index events_newest on events (heard_at, id);
create index events_of_key on events (key, id);
create index events_of_type on events (type, id);

-- What was heard of each order. Each column is filled by the events that tell of it, in whatever order they come.
create table orders (
    id uuid primary key,
    number text,
    customer_id text,
    customer_name text,
    email text,
    currency text,
    total bigint,
    skus text[] not null default '{}',
    deadline timestamptz,
    placed_at timestamptz,
    confirmed_at timestamptz,
    shipped_at timestamptz,
    ended_at timestamptz,
    -- completed or cancelled
    outcome text,
    reason text,
    last_event_at timestamptz not null,
    forgotten boolean not null default false
);
create index orders_newest on orders (placed_at, id);
create index orders_going_on on orders (placed_at) where ended_at is null;
create index orders_confirmed on orders (confirmed_at) where confirmed_at is not null;
create index orders_ended on orders (ended_at) where ended_at is not null;
create index orders_of_customer on orders (customer_id, placed_at);
create index orders_of_email on orders (lower(email), placed_at);
create index orders_of_number on orders (number) where number is not null;
create index orders_of_skus on orders using gin (skus);
create index orders_over on orders (last_event_at);

-- Whoever is signed in. The cookie is the key: the table holds its hash, and what is sealed with it.
create table sessions (
    id bytea primary key,
    sealed bytea not null,
    -- whoever renews the tokens of this session has until then
    renewing_until timestamptz,
    expires_at timestamptz not null
);
create index sessions_over on sessions (expires_at);
