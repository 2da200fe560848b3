drop table idempotency_keys;
drop table journal;
drop table refunds;
drop table payment_intents;
