alter table dead_letter_jobs drop column left_behind;
