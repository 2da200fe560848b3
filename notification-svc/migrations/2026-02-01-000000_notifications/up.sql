-- The root row of an order: locked first by whatever speaks or writes for that order.
create table orders (
    order_id uuid primary key,
    -- Whom to write to. Not known until order.placed is heard, which other facts may overtake.
    customer_name text,
    customer_email text,
    -- How many events of this order were said on notifications.v1.
    notifications_said bigint not null default 0,
    check ((customer_name is null) = (customer_email is null))
);

create table notifications (
    id uuid primary key,
    order_id uuid not null references orders (order_id),
    template text not null,
    -- The fact that the customer is told of, and when it happened.
    event_id uuid not null,
    happened_at timestamptz not null,
    status text not null default 'queued' check (status in ('queued', 'sent', 'failed')),
    -- What is to be told, kept until it is known to whom; then the letter takes its place.
    fact jsonb,
    recipient text,
    subject text,
    body text,
    attempts integer not null default 0,
    -- When it may be tried next; while it is being tried, until when it is left to whoever tries.
    due_at timestamptz not null default now(),
    last_error text,
    traceparent text,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    -- One message per fact, whatever is delivered twice.
    unique (order_id, template, event_id),
    check (num_nonnulls(recipient, subject, body) = case when fact is null then 3 else 0 end),
    check (status = 'queued' or fact is null),
    check ((status = 'sent') = (sent_at is not null))
);

create index notifications_due on notifications (due_at) where status = 'queued' and fact is null;
create index notifications_queued_of_order on notifications (order_id, happened_at, id) where status = 'queued';
create index notifications_of_order on notifications (order_id, id);
create index notifications_by_status on notifications (status, id);
