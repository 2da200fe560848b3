-- What people call an order: Q-2026-000123 is the year of placed_at and this number. It has gaps, since a sequence takes nothing
-- back. Orders that are there get 1, 2, 3 ... in the next migration; new ones go on behind them, with some room for those that
-- are placed while these are counted. Nothing is rewritten, and an older instance draws a number without knowing of it.
do $$ begin
    execute format('create sequence order_numbers start %s', (select count(*) + count(*) / 100 + 1 from orders));
end $$;
alter table orders
    add column number bigint,
    -- whether order_keys has it; an order that an older instance places is put there by the next one that looks
    add column keyed  boolean not null default false;
alter table orders alter column number set default nextval('order_numbers');

-- By what orders are found: their number, their customer's e-mail address in small letters, and each SKU in their lines. A row is
-- written with its order and never changed, so that these indexes cost nothing when the order changes.
create table order_keys (
    kind     text not null check (kind in ('number', 'email', 'sku')),
    value    text not null,
    order_id uuid not null,
    primary key (kind, value, order_id)
);
create unique index order_keys_of_number on order_keys (value) where kind = 'number';
