-- An order's goods may leave in several parcels: one that is split is called off, and its parts take its place.
drop index shipments_by_order;
create index shipments_by_order on shipments (order_id, id);
alter table shipments
    add column split_into jsonb not null default '[]';
