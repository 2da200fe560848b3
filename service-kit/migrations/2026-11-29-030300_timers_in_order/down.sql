alter table timers reset (fillfactor);
create index timers_by_due_at on timers (due_at);
drop index timers_in_order;
