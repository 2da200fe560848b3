alter table refunds drop column actor;
