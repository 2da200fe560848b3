drop index dead_letters_once;
alter table dead_letters add unique (consumer, topic, partition, record_offset);
