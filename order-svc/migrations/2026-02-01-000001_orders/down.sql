drop table idempotency_keys;
drop table products;
drop table orders;
