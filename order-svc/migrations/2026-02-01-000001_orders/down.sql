drop table idempotency_keys;
drop table catalogue_read;
drop table products;
drop table orders;
