-- Whose order it is: customers see their own messages. Not known of orders that were placed before.
alter table orders add column customer_id text;
create index orders_of_customer on orders (customer_id, order_id);
