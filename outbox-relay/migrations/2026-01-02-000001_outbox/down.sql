drop table outbox_parked;
drop table outbox;
