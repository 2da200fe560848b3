alter table ledger drop constraint ledger_accounts;
alter table ledger add constraint ledger_accounts check ((operation, debit, credit) in (
    ('authorise', 'gateway_clearing', 'customer'),
    ('void', 'customer', 'gateway_clearing'),
    ('capture', 'customer', 'revenue'),
    ('refund', 'refunds', 'gateway_clearing')
));
