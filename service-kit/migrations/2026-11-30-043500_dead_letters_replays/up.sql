-- How often a replay of the letter was tried and failed.
alter table dead_letters add column replays integer not null default 0;
