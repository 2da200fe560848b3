-- Where parcels go: kept with the order until there are parcels, then with each parcel until it is called off. None for
-- orders that were placed before.
alter table orders
    add column delivery_address jsonb,
    -- the ce_sequence of the last change of it
    add column address_rank bigint not null default 0;
alter table shipments add column delivery_address jsonb;
