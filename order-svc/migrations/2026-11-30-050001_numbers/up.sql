-- What people call an order: Q-2026-000123 is the year of placed_at and this number. It has gaps, since a sequence takes nothing
-- back. Orders that are there get 1, 2, 3 ... in the next migration; new ones go on behind them, with some room for those that
-- are placed while these are counted. Nothing is rewritten, and an older instance draws a number without knowing of it.
do $$ begin
    execute format('create sequence order_numbers start %s', (select count(*) + count(*) / 100 + 1 from orders));
end $$;
alter table orders add column number bigint;
alter table orders alter column number set default nextval('order_numbers');
