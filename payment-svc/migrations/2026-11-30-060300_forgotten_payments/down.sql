alter table payments drop column forgotten;
