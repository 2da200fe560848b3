-- What an event on payments.v1 says of money, which names nobody: it stays when the body of a forgotten person's event goes.
alter table events add column money jsonb;
create function pg_temp.money_of(body text) returns jsonb language plpgsql as $$
begin
    return (select jsonb_strip_nulls(jsonb_build_object('amount', told -> 'amount', 'remaining', told -> 'remaining',
        'payment_id', told -> 'payment_id', 'refund_id', told -> 'refund_id')) from (select body::jsonb as told) as read);
exception when others then
    return null; -- no JSON tells nothing
end $$;
update events set money = pg_temp.money_of(body) where topic = 'payments.v1' and body is not null;

-- Orders that go on stay, however long nothing is heard of them.
drop index orders_over;
create index orders_over on orders (last_event_at) where ended_at is not null;
