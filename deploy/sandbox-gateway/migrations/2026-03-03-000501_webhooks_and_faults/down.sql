alter table payment_intents drop column was_authorised;
drop table faults;
drop table webhook_deliveries;
