-- Lines of a parcel that came back; when all are back, so is the parcel.
alter table shipments
    add column returned jsonb not null default '[]',
    add column returned_at timestamptz,
    drop constraint shipments_status_check,
    add constraint shipments_status_check
        check (status in ('pending', 'packed', 'dispatched', 'delivered', 'cancelled', 'returned'));
