-- Which order a stored response tells of: when its customer is forgotten, the response is found by it.
alter table idempotency_keys add column order_id uuid;
create index idempotency_keys_of_order on idempotency_keys (order_id) where order_id is not null;
