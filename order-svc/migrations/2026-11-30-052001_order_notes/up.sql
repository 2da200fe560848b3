-- What staff write down about an order, for each other. It is deleted when the order's customer is forgotten.
create table order_notes (
    -- UUID v7, so that their order is that of writing
    id         uuid        primary key,
    order_id   uuid        not null references orders (id),
    -- whoever wrote it, by the issuer's name for them; null where nobody is asked who they are
    author     text,
    text       text        not null,
    written_at timestamptz not null default now(),
    -- the Idempotency-Key under which it was sent, if it was, and a hash of the request
    key        text        unique,
    request    bytea,
    check ((key is null) = (request is null))
);
create index order_notes_of_order on order_notes (order_id, id desc);
