alter table dead_letters drop column failed_job;
drop index dead_letters_of_key;
drop table dead_letter_jobs;
