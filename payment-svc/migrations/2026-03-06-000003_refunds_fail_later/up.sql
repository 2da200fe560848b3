-- A refund that was made may fail at the customer's bank later: a line of its own makes up for it.
alter table ledger drop constraint ledger_accounts;
alter table ledger add constraint ledger_accounts check ((operation, debit, credit) in (
    ('authorise', 'gateway_clearing', 'customer'),
    ('void', 'customer', 'gateway_clearing'),
    ('capture', 'customer', 'revenue'),
    ('refund', 'refunds', 'gateway_clearing'),
    ('refund_reversal', 'gateway_clearing', 'refunds')
));
