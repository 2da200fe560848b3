drop table notifications;
drop table orders;
