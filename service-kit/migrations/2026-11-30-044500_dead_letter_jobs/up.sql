-- Work at many dead letters that a service does by itself. It is worked at by whoever holds the row's lock, a letter a
-- transaction, so that it goes on where it was whoever dies.
create table dead_letter_jobs (
    id uuid primary key,
    consumer text not null,
    action text not null check (action in ('replay', 'discard')),
    -- Which letters: one of these says.
    group_id text,
    key text,
    ids bigint[],
    reason text not null,
    -- Whether it goes on when a letter fails.
    keep_going boolean not null,
    state text not null default 'running' check (state in ('running', 'paused', 'stopped', 'cancelled', 'done')),
    -- Who wanted it, if anybody was asked who they are.
    made_by text,
    made_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    -- Letters come in the order of their numbers: this one was taken last, and those that came after the job are not its.
    last_id bigint not null default 0,
    up_to bigint not null,
    -- The letter that is under way, until it is counted, and the queue that is worked at, until nothing is left of it.
    at_letter bigint,
    at_topic text,
    at_key text,
    total bigint not null,
    done bigint not null default 0,
    failed bigint not null default 0,
    -- Letters that waited behind those and were replayed, too; and those before them that failed.
    behind bigint not null default 0,
    failed_behind bigint not null default 0,
    -- Letters that wait on behind one that failed.
    left_out bigint not null default 0,
    left_to_do bigint not null generated always as (
        case when state = 'done' then 0 else greatest(total - done - failed, 0) end) stored,
    failed_letter bigint,
    -- Whether that is one of the job's.
    failed_is_own boolean,
    error text,
    -- Why it can't go on for now, and since when.
    failing text,
    failing_since timestamptz,
    check (num_nonnulls(group_id, key, ids) = 1)
);
create index dead_letter_jobs_to_do on dead_letter_jobs (id) where state = 'running';
create index dead_letter_jobs_by_age on dead_letter_jobs (finished_at) where finished_at is not null;
create index dead_letters_of_key on dead_letters (key, id);

-- The job at which the letter failed, which leaves out what is behind it.
alter table dead_letters add column failed_job uuid;
