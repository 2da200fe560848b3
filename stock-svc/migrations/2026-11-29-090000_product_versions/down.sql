alter table products drop column version;
