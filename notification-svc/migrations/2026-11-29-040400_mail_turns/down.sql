alter table notifications reset (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay);
create index notifications_due on notifications (due_at) where status = 'queued' and fact is null;
alter table notifications drop column ready;
