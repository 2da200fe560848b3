drop table shipments;
drop table orders;
drop table movements;
drop table stock_levels;
drop table products;
drop table categories;
