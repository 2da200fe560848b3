-- What an order waits for, and when it will have waited longer than it should. Null once it has ended. An order that an older
-- instance places meanwhile is looked at at once, and order-svc fills the rest in.
alter table orders
    add column waiting_for        text,
    add column waiting_from       text,
    add column overdue_at         timestamptz,
    -- Whether people must act: a customer, the warehouse, a carrier.
    add column waits_for_people   boolean not null default false,
    -- No later than overdue_at. It and waits_for_people move seldom, because they are indexed: an update that moves them writes to
    -- every index.
    add column overdue_not_before timestamptz;
alter table orders alter column overdue_not_before set default now();
