-- A bank may be asked for a while before it answers.
alter table payment_intents drop constraint payment_intents_status_check;
alter table payment_intents add constraint payment_intents_status_check check (status in
    ('requires_payment_method', 'requires_confirmation', 'processing', 'requires_action', 'requires_capture', 'succeeded',
    'canceled'));
