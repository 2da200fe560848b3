-- An intent may wait for its customer, as with 3-D Secure. What they do then is entered under the key of the
-- confirmation that asked for it.
alter table payment_intents add column confirmed_by text;
alter table payment_intents drop constraint payment_intents_status_check;
alter table payment_intents add constraint payment_intents_status_check check (status in
    ('requires_payment_method', 'requires_confirmation', 'requires_action', 'requires_capture', 'succeeded', 'canceled'));
-- How often confirmed; a method may change its mind.
alter table payment_intents add column attempts integer not null default 0;
