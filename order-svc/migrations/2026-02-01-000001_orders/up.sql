-- The row of an order is the root of its key: whoever speaks for the order locks it first, and it counts what was said.
create table orders (
    id            uuid primary key,
    -- as it was placed: the content of order.placed, never changed
    customer_id   text        not null,
    placed        jsonb       not null,
    pieces        bigint      not null check (pieces > 0),
    placed_at     timestamptz not null,
    -- the facts heard, and the ce_sequence of the last one of each topic
    facts         jsonb       not null,
    stock_rank    bigint      not null,
    payment_rank  bigint      not null,
    shipment_rank bigint      not null,
    -- derived from the facts
    status        text        not null,
    reason        text,
    -- counts changes of this row, and events said on orders.v1
    version       bigint      not null,
    said          bigint      not null,
    updated_at    timestamptz not null,
    check ((reason is not null) = (status in ('cancelling', 'cancelled')))
) with (fillfactor = 80);
create index orders_by_customer on orders (customer_id, id desc);
create index orders_by_status on orders (status, id desc);

-- What a product costs, as products.v1 says: the highest sequence of a SKU wins.
create table products (
    sku      text primary key,
    sequence bigint not null,
    name     text   not null,
    price    bigint not null check (price >= 0),
    currency text   not null,
    status   text   not null
);

-- Has one row once products.v1 was read to an end; from then on prices are known, whether Kafka is there or not.
create table catalogue_read (
    once    boolean primary key default true check (once),
    read_at timestamptz not null default now()
);

-- Answers that were given to a POST with an Idempotency-Key; only 202s. The request is kept as a hash.
create table idempotency_keys (
    key        text primary key,
    request    bytea       not null,
    order_id   uuid        not null,
    location   text        not null,
    body       bytea       not null,
    created_at timestamptz not null
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
