alter table payments drop column void_refusals;
