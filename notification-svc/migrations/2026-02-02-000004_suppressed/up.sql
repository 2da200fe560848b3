-- Set while the order is to end or has ended: what promised that it goes on is not sent any more.
alter table orders add column ending boolean not null default false;

alter table notifications
    drop constraint notifications_status_check,
    add constraint notifications_status_check check (status in ('queued', 'sent', 'failed', 'suppressed'));

-- Letters as HTML. Those that were written before have none.
create table html_letters (
    notification_id uuid primary key references notifications (id),
    html            text not null
);
