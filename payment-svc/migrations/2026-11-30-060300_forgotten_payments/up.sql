-- The order's customer is forgotten: a guest's link shows nothing of it any more.
alter table payments add column forgotten boolean not null default false;
