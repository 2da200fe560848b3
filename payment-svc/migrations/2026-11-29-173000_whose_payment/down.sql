alter table charges drop column customer_id;
