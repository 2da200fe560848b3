drop view ledger_balances;
drop view ledger_entries;
drop trigger ledger_is_never_rewritten on ledger;
drop function ledger_is_never_rewritten;
alter table ledger drop constraint ledger_accounts, drop constraint ledger_moves_something;
alter table ledger drop column debit, drop column credit;
drop table idempotency_keys;
alter table refunds drop column reason, drop column gateway_id;
