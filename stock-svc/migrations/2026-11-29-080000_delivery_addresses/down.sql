alter table shipments drop column delivery_address;
alter table orders drop column delivery_address, drop column address_rank;
