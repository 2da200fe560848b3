-- Orders by what is in their lines; store/rows.rs has the same expression. Without a list of what is pending, which an order now and
-- then would have to wait for.
create index orders_by_sku on orders using gin (jsonb_path_query_array(placed, '$.lines[*].sku')) with (fastupdate = off);
