create table accounts (
    id text primary key,
    -- in small letters
    email text not null unique,
    name text not null,
    roles text[] not null,
    -- Argon2id, with its salt and parameters (a PHC string)
    password text not null,
    created_at timestamptz not null
);

create table signing_keys (
    id text primary key,
    -- PKCS #8
    private_key bytea not null,
    public_jwk jsonb not null,
    -- published at once, and signs from here until the next one does
    signs_from timestamptz not null unique
);

create table authorization_codes (
    -- SHA-256 of the code
    hash bytea primary key,
    account_id text not null references accounts,
    client_id text not null,
    redirect_uri text not null,
    scope text not null,
    nonce text,
    code_challenge text not null,
    signed_in_at timestamptz not null,
    expires_at timestamptz not null,
    -- the session that was made of it, by which it is known to be used
    session_id text
);
create index authorization_codes_over on authorization_codes (expires_at);

-- One sign-in and all the refresh tokens that follow from it, of which the last one is good. A session that is ended is deleted.
create table sessions (
    id text primary key,
    account_id text not null references accounts,
    client_id text not null,
    scope text not null,
    -- SHA-256 of the refresh token that is good
    refresh_hash bytea not null,
    signed_in_at timestamptz not null,
    expires_at timestamptz not null
);
create index sessions_of_account on sessions (account_id, signed_in_at);
create index sessions_over on sessions (expires_at);

-- How often somebody tried, as one time (GCRA): when all that they tried will be forgotten.
create table attempts (
    -- SHA-256 of the account or the address
    key bytea primary key,
    free_at timestamptz not null
);
create index attempts_over on attempts (free_at);
