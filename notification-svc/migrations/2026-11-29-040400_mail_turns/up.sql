-- Whether it is this message's turn: it is written, and no earlier message of its order has to be sent first. The service
-- keeps it under the order's root whenever a message of the order is queued, written or done, so that whoever looks for
-- what is due reads only what may be sent, in the order in which it fell due.
alter table notifications add column ready boolean not null default false;

update notifications set ready = true
 where id in (
    select distinct on (queued.order_id) queued.id
      from notifications queued
     where queued.status = 'queued'
       and (queued.template not in ('shipment_dispatched', 'shipment_delivered', 'shipment_lost')
            or exists (select from notifications confirmed
                        where confirmed.order_id = queued.order_id and confirmed.template = 'order_confirmed'
                          and confirmed.status <> 'queued'))
     order by queued.order_id, queued.happened_at, queued.id)
   and fact is null;

create index notifications_ready on notifications (due_at, id) where ready and status = 'queued';
drop index notifications_due;

-- Each message is updated a few times and then rests, so the share of dead rows says little; their number does.
alter table notifications set (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 10000,
    autovacuum_vacuum_cost_delay = 0
);
