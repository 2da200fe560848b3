alter table customer_look_ups drop column url;
alter table customer_look_ups drop column client_secret;
