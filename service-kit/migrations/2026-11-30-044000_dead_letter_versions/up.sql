-- How often the letter was edited. A replay runs the last version.
alter table dead_letters add column edits integer not null default 0;

-- What an edited letter said: as it came (0), and after each edit. It outlives the letter.
create table dead_letter_versions (
    letter_id bigint not null,
    version integer not null,
    headers json not null,
    value bytea,
    made_at timestamptz not null default now(),
    -- Who edited, if anybody was asked who they are, and why; null for what came.
    made_by text,
    reason text,
    primary key (letter_id, version)
);
create index dead_letter_versions_by_age on dead_letter_versions (made_at);

-- What became of letters.
create table dead_letters_ended (
    id bigint primary key,
    consumer text not null,
    topic text not null,
    partition integer not null,
    record_offset bigint not null,
    key text not null,
    event_id uuid,
    event_type text,
    error text,
    edits integer not null,
    how text not null check (how in ('replayed', 'discarded')),
    -- What the reaction said of one that was replayed.
    outcome text,
    -- Who had it ended, if anybody was asked who they are, and why.
    ended_by text,
    reason text,
    ended_at timestamptz not null default now()
);
create index dead_letters_ended_by_age on dead_letters_ended (ended_at);
create index dead_letters_ended_by_key on dead_letters_ended (key, id);
