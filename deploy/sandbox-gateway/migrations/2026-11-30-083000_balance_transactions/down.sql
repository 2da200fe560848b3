drop index journal_by_time;
alter table journal drop column source;
