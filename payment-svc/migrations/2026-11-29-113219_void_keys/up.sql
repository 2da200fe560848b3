-- How often the gateway has refused to end the intent. Part of the key of the next try: a gateway repeats a refusal for as long as it
-- keeps the key.
alter table payments add column void_refusals integer not null default 0;
