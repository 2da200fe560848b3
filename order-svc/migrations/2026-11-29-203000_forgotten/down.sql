alter table orders drop column forgotten_at;
