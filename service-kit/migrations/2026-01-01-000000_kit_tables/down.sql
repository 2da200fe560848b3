drop table timers, consumer_progress, dead_letters, parked_keys, inbox;
drop function inbox_upkeep(interval);
drop function inbox_bound(timestamptz);
