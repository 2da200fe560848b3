-- Due timers are walked in this order, a window at a time, from where the window before ended.
create index timers_in_order on timers (due_at, kind, key);
drop index timers_by_due_at;
-- A claim changes not_before and nothing that is indexed.
alter table timers set (fillfactor = 80);
