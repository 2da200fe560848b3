drop index notifications_by_channel;
drop table profiles;
alter table orders drop column forgotten;
create index notifications_ready on notifications (due_at, id) where ready and status = 'queued';
drop index notifications_ready_by_channel;
-- An older build sends e-mails alone, and each has its texts.
delete from html_letters where notification_id in (select id from notifications where recipient is null and fact is null);
delete from notifications where channel <> 'email' or (recipient is null and fact is null);
alter table notifications
    drop constraint notifications_whole,
    add constraint notifications_check
        check (num_nonnulls(recipient, subject, body) = case when fact is null then 3 else 0 end),
    drop constraint notifications_one_a_fact_and_channel,
    add constraint notifications_order_id_template_event_id_key unique (order_id, template, event_id),
    drop column channel;
