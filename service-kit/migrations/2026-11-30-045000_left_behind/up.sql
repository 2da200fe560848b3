-- Of how many keys a job that discards has left more behind, of which nothing was tried.
alter table dead_letter_jobs add column left_behind bigint not null default 0;
