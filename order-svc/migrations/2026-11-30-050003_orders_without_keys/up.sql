-- Apart from what is numbered, since this keeps up writes while it is built, and that doesn't. It is empty but for what older instances
-- have placed meanwhile.
create index orders_without_keys on orders (id) where not keyed;
