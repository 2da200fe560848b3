-- Messages that are done are deleted after a while, with all others of their order.
create index notifications_by_age on notifications (created_at) where status <> 'queued';
