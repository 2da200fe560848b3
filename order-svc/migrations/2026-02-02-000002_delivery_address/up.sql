-- Where orders go whose address is no longer the one in order.placed. Few have one.
create table redirections (
    order_id         uuid  primary key references orders (id),
    delivery_address jsonb not null
);
