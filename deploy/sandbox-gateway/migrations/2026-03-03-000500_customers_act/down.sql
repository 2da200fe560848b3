delete from payment_intents where status = 'requires_action';
alter table payment_intents drop constraint payment_intents_status_check;
alter table payment_intents add constraint payment_intents_status_check check (status in
    ('requires_payment_method', 'requires_confirmation', 'requires_capture', 'succeeded', 'canceled'));
alter table payment_intents drop column confirmed_by, drop column attempts;
