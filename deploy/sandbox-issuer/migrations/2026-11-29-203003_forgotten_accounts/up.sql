-- Accounts that were deleted, so that one which is there from the start doesn't come back with the next start.
create table forgotten_accounts (
    id text primary key
);
