-- When the person was taken from an ended order: nobody's name and address stand in `placed` since then.
alter table orders add column forgotten_at timestamptz;
