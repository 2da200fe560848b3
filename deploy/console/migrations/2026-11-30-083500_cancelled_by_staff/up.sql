-- An order that staff cancelled was taken for one that its customer cancelled.
update orders set reason = 'staff' from events
    where events.order_id = orders.id and events.type = 'order.cancelled.v1' and orders.reason = 'customer'
        and events.body ~ '"by"\s*:\s*"staff"';
