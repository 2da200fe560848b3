-- An error without its values, so that dead letters of one cause are told from others: what is quoted, ids, mail addresses,
-- times, codes such as SKUs, and numbers become placeholders. Names of fields, in backticks, stay.
create function dead_letter_cause(error text) returns text
    language plpgsql immutable strict parallel safe as $$
begin
    error := regexp_replace(error, '"(\\.|[^"\\])*"', '"..."', 'g');
    error := regexp_replace(error, '(?<![[:alnum:]])''[^'']*''(?![[:alnum:]])', '''...''', 'g');
    error := regexp_replace(error, 'unknown variant `[^`]*`', 'unknown variant `...`', 'g');
    error := regexp_replace(error, '\m[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\M', '<uuid>', 'gi');
    error := regexp_replace(error, '[^\s<>()"''`,;:=]+@[^\s<>()"''`,;:=]+', '<email>', 'g');
    error := regexp_replace(error,
        '\m\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z| ?UTC|[-+]\d{2}(:?\d{2})?)?', '<time>', 'g');
    error := regexp_replace(error, '\m[A-Z0-9_]+(-[A-Z0-9_]+)+\M', '<code>', 'g');
    error := regexp_replace(error, '\m[a-z]{2,5}_(?=\w*\d)\w{6,}\M', '<id>', 'g');
    error := regexp_replace(error, '\m(?=\w*\d)[0-9a-f]{16,}\M', '<hex>', 'g');
    error := regexp_replace(error, '((?<![[:alnum:]])[-+])?\m\d+([.,:]\d+)*', '<n>', 'g');
    return left(regexp_replace(error, '\s+', ' ', 'g'), 500);
end $$;

-- Kept with the letter: its cause, and the group that it shares with others of the same event type, consumer and cause. What
-- only waits behind another has neither.
alter table dead_letters
    add column cause text generated always as (dead_letter_cause(error)) stored,
    add column group_id text generated always as (
        left(md5(consumer || e'\n' || coalesce(event_type, '') || e'\n' || dead_letter_cause(error)), 16)) stored;
create index dead_letters_by_group on dead_letters (group_id, id) where group_id is not null;
