alter table idempotency_keys drop column order_id;
