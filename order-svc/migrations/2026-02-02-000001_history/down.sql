alter table orders drop column recorded, drop column waiting_since;
drop table order_history;
