-- A day's lines are read by when they were entered. Lines are entered in the order of their times, so that the summary of a
-- range of blocks finds them, and entering one costs nothing more.
create index ledger_by_time on ledger using brin (at);
