-- Finished calls are deleted after a while; what they did to money stays in the ledger.
create index gateway_calls_by_age on gateway_calls (finished_at) where finished_at is not null;
