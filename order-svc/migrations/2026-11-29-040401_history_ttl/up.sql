-- The history of an order that ended long ago is deleted as a whole. Its first entry stands for it, so that the index has
-- one entry an order.
create index order_history_by_age on order_history (recorded_at) where position = 1;
-- When that was, which tells a history that was let go of from one that was lost.
alter table orders add column history_pruned_at timestamptz;
