-- A customer's profile. Its row is the root of the customer's key on customers.v1, and stays when the customer is forgotten:
-- what is said after that must have a higher sequence.
create table customers (
    id            text primary key,
    -- name, e-mail, phone, push token, delivery address, language, channels; null when there is none, or none any more
    profile       jsonb,
    -- counts changes of the profile
    version       bigint      not null default 0,
    -- the ce_sequence of the last event on customers.v1
    last_sequence bigint      not null default 0,
    updated_at    timestamptz not null default now()
);
