alter table payment_intents drop column return_url;
alter table payment_intents drop column client_secret;
