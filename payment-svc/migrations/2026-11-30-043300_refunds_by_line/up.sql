-- What a refund is for, line by line, as staff, a return or a loss had it: so that no line is given back more often than it was
-- bought. None of one for an amount, and of those that are older than this column.
alter table refunds add column lines jsonb;
