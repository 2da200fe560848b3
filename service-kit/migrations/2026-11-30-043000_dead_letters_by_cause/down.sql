drop index dead_letters_by_group;
alter table dead_letters drop column group_id, drop column cause;
drop function dead_letter_cause(text);
