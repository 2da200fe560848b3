-- What an order's lines are called, by SKU: a mail about a line that was short names it as the customer knows it.
create table line_names (
    order_id uuid primary key references orders,
    names jsonb not null
);
