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
    fact jsonb not null,
    channel text not null default 'email',
    status text not null default 'queued' check (status in ('queued', 'sent', 'failed')),
    -- Written when the customer is known. Until then the message waits: it has no due time.
    recipient text,
    subject text,
    body text,
    attempts integer not null default 0,
    -- When it may be tried next; while it is being tried, until when it is left to whoever tries.
    due_at timestamptz,
    last_error text,
    traceparent text,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    unique (order_id, template, event_id),
    check (num_nonnulls(recipient, subject, body) in (0, 3)),
    check (due_at is null or recipient is not null),
    check ((status = 'sent') = (sent_at is not null))
);

create index notifications_due on notifications (due_at) where status = 'queued';
create index notifications_queued_of_order on notifications (order_id, happened_at, id) where status = 'queued';
create index notifications_of_order on notifications (order_id, id);
create index notifications_by_status on notifications (status, id);
