drop table html_letters;
update notifications set status = 'failed' where status = 'suppressed';
alter table notifications
    drop constraint notifications_status_check,
    add constraint notifications_status_check check (status in ('queued', 'sent', 'failed'));
alter table orders drop column ending;
