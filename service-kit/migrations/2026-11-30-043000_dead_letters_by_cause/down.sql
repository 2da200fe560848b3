drop trigger dead_letters_grouped on dead_letters;
drop function dead_letter_grouped();
drop index dead_letters_by_group, dead_letters_ungrouped;
alter table dead_letters drop column group_id, drop column cause;
drop function dead_letter_cause(text);
