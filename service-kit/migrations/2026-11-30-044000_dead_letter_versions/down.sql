drop table dead_letters_ended, dead_letter_versions;
alter table dead_letters drop column edits;
