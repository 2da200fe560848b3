drop table order_keys;
alter table orders drop column number, drop column keyed;
drop sequence order_numbers;
