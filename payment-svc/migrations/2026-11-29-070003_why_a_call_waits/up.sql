-- Why a call has no answer yet, and since when: a code, and a text without personal data. They stay when it is answered.
alter table gateway_calls add column error_code text;
alter table gateway_calls add column error text;
alter table gateway_calls add column failing_since timestamptz;
create index failing_calls on gateway_calls (failing_since) where finished_at is null and failing_since is not null;
