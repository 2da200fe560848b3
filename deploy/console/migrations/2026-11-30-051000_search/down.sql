drop index events_by_who_said_what;
drop index events_of_money;
drop index events_of_topic;
drop index events_of_type;
drop index events_of_key;
create index events_of_key on events (key, id);
create index events_of_type on events (type, id);
drop index orders_of_outcome;
drop table found_by;
