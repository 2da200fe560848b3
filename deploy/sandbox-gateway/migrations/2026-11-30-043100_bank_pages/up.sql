-- What a customer's browser goes on with, and where it returns to from the bank's page: as the last confirmation said.
alter table payment_intents add column client_secret text;
alter table payment_intents add column return_url text;
