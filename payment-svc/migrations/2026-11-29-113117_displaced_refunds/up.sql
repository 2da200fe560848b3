-- What a refund's cause asked for, which is more than its amount where it was cut to what remained; nothing is as much as the amount.
-- Once money comes back, what was cut off is owed again.
alter table refunds add column wanted bigint check (wanted > 0);
-- How often the gateway has refused it since more had gone back than was known. Part of its key: a gateway repeats a refusal for as
-- long as it keeps the key.
alter table refunds add column refusals integer not null default 0;
update refunds set refusals = 1 where origin = 'cut';
