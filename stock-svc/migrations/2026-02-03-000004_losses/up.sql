-- A parcel that left and never arrived.
alter table shipments
    add column lost_at timestamptz,
    drop constraint shipments_status_check,
    add constraint shipments_status_check
        check (status in ('pending', 'packed', 'dispatched', 'delivered', 'cancelled', 'returned', 'lost'));
