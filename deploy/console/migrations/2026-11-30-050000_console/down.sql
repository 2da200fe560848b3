drop table sessions;
drop table orders;
drop table events;
