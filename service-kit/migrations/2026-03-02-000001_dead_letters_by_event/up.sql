-- A place alone does not tell an event: where a topic was deleted and made anew, its offsets begin anew too, and another
-- event comes to lie where one lay that is a dead letter still. Without a readable id the content tells.
alter table dead_letters drop constraint dead_letters_consumer_topic_partition_record_offset_key;
create unique index dead_letters_once on dead_letters
    (consumer, topic, partition, record_offset, coalesce(event_id::text, md5(coalesce(value, ''))));
