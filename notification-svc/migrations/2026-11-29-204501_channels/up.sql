-- By which channel a message goes: one message a fact and channel, each queued, sent and failed by itself.
alter table notifications
    add column channel text not null default 'email' check (channel in ('email', 'sms', 'push'));
alter table notifications
    drop constraint notifications_order_id_template_event_id_key,
    add constraint notifications_one_a_fact_and_channel unique (order_id, template, event_id, channel);

-- A message is written whole, or its fact waits until its customer is known; text messages have no subject. Of one that is
-- done the person may be gone.
alter table notifications
    drop constraint notifications_check,
    add constraint notifications_whole check (
        case when fact is not null or recipient is null
            then num_nonnulls(recipient, subject, body) = 0 and (fact is not null or status <> 'queued')
            else body is not null and (subject is not null or channel = 'sms')
        end);

-- Each channel has a worker of its own, which reads only what is its.
create index notifications_ready_by_channel on notifications (channel, due_at, id) where ready and status = 'queued';
drop index notifications_ready;

-- The person is forgotten: nobody is told anything more, and what names them was deleted.
alter table orders add column forgotten boolean not null default false;
alter table orders add constraint orders_forgotten check (not forgotten or customer_name is null);

-- How customers want to be told, as customers.v1 last said. Of one who is forgotten only the sequence is left, so that an
-- older event doesn't bring the person back.
create table profiles (
    customer_id text primary key,
    sequence    bigint not null,
    phone       text,
    push_token  text,
    language    text not null,
    -- Which kinds of messages go by which channels; nothing once the person is forgotten.
    messages    jsonb,
    check (messages is not null or num_nonnulls(phone, push_token) = 0)
);

-- For lists of one channel; almost all messages are e-mails.
create index notifications_by_channel on notifications (channel, id) where channel <> 'email';
