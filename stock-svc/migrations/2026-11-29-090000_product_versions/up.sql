-- Counts the changes of what is said of a product, so that a client can change what it has seen and nothing else (ETag).
-- Stock that moves is no such change.
alter table products add column version bigint not null default 0;
