-- Whose order it is: customers see their own payments. Not known of orders that were placed before.
alter table charges add column customer_id text;
create index charges_of_customer on charges (customer_id, order_id);
