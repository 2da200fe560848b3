-- Where parcels go: kept with the order until there are parcels, then with each parcel until it is called off. None for
-- orders that were placed before.
alter table orders add column delivery_address jsonb;
alter table shipments add column delivery_address jsonb;
