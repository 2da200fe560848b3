-- A dispute may take more than is left of what was captured: what fits is its amount, which may be nothing, and all of it is `wanted`.
alter table refunds drop constraint refunds_amount_check;
alter table refunds add constraint refunds_amount_check check (amount > 0 or (origin = 'elsewhere' and amount = 0));
