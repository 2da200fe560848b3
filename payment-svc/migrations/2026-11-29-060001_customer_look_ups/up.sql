-- Payments whose customer is waited for. What the gateway knows of them is looked up again and again: a webhook can be lost.
-- A row is taken by moving its due_at on; it is deleted by the look-up that finds the customer no longer waited for.
create table customer_look_ups (
    order_id uuid primary key references payments,
    tries integer not null default 0,
    due_at timestamptz not null
);
create index customer_look_ups_by_due on customer_look_ups (due_at);
insert into customer_look_ups (order_id, due_at) select order_id, now() from payments where state = 'action_required';
