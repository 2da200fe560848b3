-- Numbers the orders that were placed before, the oldest first, and puts them among order_keys, a thousand in each transaction: their
-- rows are locked no longer than that takes, in the order in which everybody locks them, and everything goes on meanwhile. What
-- is interrupted goes on behind the last that has a number.
do $$
declare
    first_new constant bigint := (select start_value from pg_sequences where schemaname = current_schema() and sequencename = 'order_numbers');
    given bigint := (select coalesce(max(number), 0) from orders where number < first_new);
    batch uuid[];
begin
    for batch in
        select array_agg(id order by placed_at, id) from (
            select id, placed_at, (row_number() over (order by placed_at, id) - 1) / 1000 as part from orders where number is null
        ) as old group by part order by part
    loop
        perform 1 from orders where id = any(batch) order by id for update;
        -- the keys follow in the same transaction, so a row is written once
        update orders set keyed = true,
                number = case when given + place < first_new then given + place else nextval('order_numbers') end
            from unnest(batch) with ordinality as old (order_id, place) where orders.id = order_id and number is null;
        insert into order_keys (kind, value, order_id)
            select 'number', number::text, id from orders where id = any(batch)
            union all select 'email', lower(placed #>> '{customer,email}'), id from orders
                where id = any(batch) and forgotten_at is null and placed #>> '{customer,email}' is not null
            union select 'sku', line ->> 'sku', id from orders, jsonb_array_elements(placed -> 'lines') as line
                where id = any(batch)
            on conflict do nothing;
        given := given + cardinality(batch);
        commit;
    end loop;
end $$;
