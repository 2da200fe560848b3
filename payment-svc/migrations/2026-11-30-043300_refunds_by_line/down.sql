alter table refunds drop column lines;
