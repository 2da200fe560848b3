drop index ledger_by_time;
