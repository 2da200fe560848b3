alter table orders drop column number;
