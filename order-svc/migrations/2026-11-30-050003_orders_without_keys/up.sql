-- Apart from what is numbered, and not in a transaction, so that orders are placed and changed while it is built. If that is
-- interrupted, what is there of the index is not valid: the kit drops it before it runs this again. It is empty but for what older
-- instances have placed meanwhile.
create index concurrently if not exists orders_without_keys on orders (id) where not keyed;
