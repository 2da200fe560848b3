-- Every event that was heard or said of an order, in the order in which it changed the order's row, and where the order
-- stood after it. Written in the transaction of the change, under the lock of the root row, which must therefore be there:
-- a foreign key would only check that again for each row.
create table order_history (
    order_id      uuid        not null,
    -- 1, 2, 3 ... of the order, without a gap
    position      bigint      not null,
    event_id      uuid        not null,
    event_type    text        not null,
    source        text        not null,
    -- when its maker made it
    event_time    timestamptz not null,
    -- the event that this one, said by this service, follows from
    because_of    uuid,
    -- null for the first event of an order
    status_before text,
    status        text        not null,
    reason        text,
    -- why it changed nothing; null when it was applied
    ignored       text,
    recorded_at   timestamptz not null default now(),
    -- The transaction that wrote it. Positions of different orders are committed in any order, so whoever follows all of
    -- them goes on from the oldest transaction that was still open when it last looked.
    written_by    bigint      not null default pg_current_xact_id()::text::bigint,
    primary key (order_id, position)
);
create index order_history_by_transaction on order_history (written_by, order_id, position);

alter table orders
    -- counts rows of order_history
    add column recorded      bigint      not null default 0,
    -- since when the order waits for what it waits for
    add column waiting_since timestamptz not null default now();
update orders set waiting_since = updated_at;
