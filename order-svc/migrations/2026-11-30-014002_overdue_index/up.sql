-- Apart from the columns, since those let nobody read while they are added, and this keeps up writes alone.
update orders set overdue_not_before = now() where status not in ('completed', 'cancelled') and overdue_not_before is null;
-- What machines are to do and what people are to do are looked at apart, so that many parcels that nobody has sent hide no order
-- that the gateway keeps.
create index orders_overdue on orders (waits_for_people, overdue_not_before) where overdue_not_before is not null;
