-- The member of staff who asked for the refund, if one did: what is said of it names them.
alter table refunds add column actor text;
