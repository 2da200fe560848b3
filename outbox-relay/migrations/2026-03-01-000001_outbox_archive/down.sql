drop function outbox_archive_tend(bigint);
drop view outbox_archive_partitions;
drop table outbox_archive_state;
drop table outbox_archive;
