-- The books are compared range by range: an order's movements, and the holds that are live, are found without reading the rest.
create index movements_by_order on movements (order_id) where order_id is not null;
create index orders_held on orders (order_id) where reservation = 'held';
