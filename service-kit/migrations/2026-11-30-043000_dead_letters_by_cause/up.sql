-- An error without its values, so that dead letters of one cause are told from others: what is quoted, ids, mail addresses,
-- times, codes such as SKUs, and numbers become placeholders. Names of fields, in backticks, stay.
create function dead_letter_cause(error text) returns text
    language plpgsql immutable strict parallel safe as $$
declare
    cause text := error;
begin
    cause := regexp_replace(cause, '"(\\.|[^"\\])*"', '"..."', 'g');
    cause := regexp_replace(cause, '(?<![[:alnum:]])''[^'']*''(?![[:alnum:]])', '''...''', 'g');
    cause := regexp_replace(cause, 'unknown variant `[^`]*`', 'unknown variant `...`', 'g');
    cause := regexp_replace(cause, '\m[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\M', '<uuid>', 'gi');
    cause := regexp_replace(cause, '[^\s<>()"''`,;:=]+@[^\s<>()"''`,;:=]+', '<email>', 'g');
    cause := regexp_replace(cause,
        '\m\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z| ?UTC|[-+]\d{2}(:?\d{2})?)?', '<time>', 'g');
    cause := regexp_replace(cause, '\m[A-Z0-9_]+(-[A-Z0-9_]+)+\M', '<code>', 'g');
    cause := regexp_replace(cause, '\m[a-z]{2,5}_(?=\w*\d)\w{6,}\M', '<id>', 'g');
    cause := regexp_replace(cause, '\m(?=\w*\d)[0-9a-f]{16,}\M', '<hex>', 'g');
    cause := regexp_replace(cause, '((?<![[:alnum:]])[-+])?\m\d+([.,:]\d+)*', '<n>', 'g');
    return left(regexp_replace(cause, '\s+', ' ', 'g'), 500);
exception when others then
    -- Whatever an error says, its letter is kept.
    return left(error, 500);
end $$;

-- Kept with the letter: its cause, and the group that it shares with others of the same event type, consumer and cause. What
-- only waits behind another has neither.
alter table dead_letters add column cause text, add column group_id text;

-- By a trigger, so that letters of an instance of the version before have them, too. Those that are there already get them from
-- the consumer, some hundred at a time.
create function dead_letter_grouped() returns trigger
    language plpgsql as $$
begin
    new.cause := dead_letter_cause(new.error);
    new.group_id := left(md5(new.consumer || e'\n' || coalesce(new.event_type, '') || e'\n' || new.cause), 16);
    return new;
end $$;
create trigger dead_letters_grouped before insert or update of error on dead_letters
    for each row execute function dead_letter_grouped();

create index dead_letters_by_group on dead_letters (group_id, id) where group_id is not null;
create index dead_letters_ungrouped on dead_letters (id) where error is not null and group_id is null;
