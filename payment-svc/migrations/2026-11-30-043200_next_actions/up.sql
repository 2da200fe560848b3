-- How a customer who is waited for goes on with their payment: what the gateway's SDK needs, and the address of their bank's page.
-- Both are that customer's alone, and go with the row once they are no longer waited for.
alter table customer_look_ups add column client_secret text;
alter table customer_look_ups add column url text;
