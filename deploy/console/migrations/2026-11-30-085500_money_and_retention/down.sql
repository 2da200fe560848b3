drop index orders_over;
create index orders_over on orders (last_event_at);
alter table events drop column money;
