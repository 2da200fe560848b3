drop table checkouts;
