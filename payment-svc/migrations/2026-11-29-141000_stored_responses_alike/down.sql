delete from idempotency_keys where refund_id is null;
alter table idempotency_keys alter column refund_id set not null;
