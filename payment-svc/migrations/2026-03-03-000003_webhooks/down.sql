drop index payments_by_intent;
drop table webhook_events;
