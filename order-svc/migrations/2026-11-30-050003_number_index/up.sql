-- Apart from the numbers, since this keeps up writes while it is built, and they don't. It can't be built concurrently: that would
-- wait for an instance which waits for this migration to end.
create unique index orders_by_number on orders (number);
