-- What staff and operators asked for, written before it is done, so that no change of theirs is without a row here.
create table actions (
    id uuid primary key,
    at timestamptz not null default now(),
    -- Who, by the issuer's name for them, and what let them in: the role staff or operator.
    sub text not null,
    role text not null,
    method text not null,
    path text not null,
    -- The trace of the request.
    traceparent text,
    -- What it was answered; null while it is under way, and if the service died or the handler failed meanwhile.
    status smallint
);
create index actions_of_sub on actions (sub, id);
create index actions_by_age on actions (at);
