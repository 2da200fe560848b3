-- Which refund a stored response tells of is in the response, and nobody asks for it by the table.
alter table idempotency_keys alter column refund_id drop not null;
