-- What people call the order. Not known of orders that were placed before orders had numbers.
alter table orders add column number text;
