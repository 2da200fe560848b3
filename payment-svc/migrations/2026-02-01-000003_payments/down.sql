drop table ledger;
drop table gateway_calls;
drop table refunds;
drop table charges;
drop table payments;
