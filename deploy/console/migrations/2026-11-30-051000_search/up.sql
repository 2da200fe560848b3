-- Words that only one order's events have, such as a tracking number, so that the order is found by them.
create table found_by (
    term text not null,
    order_id uuid not null references orders (id) on delete cascade,
    primary key (term, order_id)
);
create index found_by_of_order on found_by (order_id);

create index orders_of_outcome on orders (outcome, placed_at, id) where outcome is not null;

-- What is looked for among events comes newest first.
drop index events_of_key;
drop index events_of_type;
create index events_of_key on events (key, heard_at, id);
create index events_of_type on events (type, heard_at, id);
create index events_of_topic on events (topic, heard_at, id);
-- A day of money is read by when it was announced.
create index events_of_money on events (type, time, id) where topic = 'payments.v1';
-- Who said what on which topic: each combination is found by itself.
create index events_by_who_said_what on events (topic, source, type);
