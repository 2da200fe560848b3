-- Text and push messages that were sent here, for whoever wants to read them.
create table messages (
    id bigint generated always as identity primary key,
    channel text not null check (channel in ('sms', 'push')),
    recipient text not null,
    title text,
    body text not null,
    -- What a push message carries for the app.
    data jsonb not null default '{}',
    received_at timestamptz not null default now()
);
