alter table refunds drop column refusals;
alter table refunds drop column wanted;
