alter table ledger drop constraint ledger_accounts;
alter table ledger add constraint ledger_accounts check ((operation, debit, credit) in (
    ('authorise', 'gateway_clearing', 'customer'),
    ('void', 'customer', 'gateway_clearing'),
    ('capture', 'customer', 'revenue'),
    ('refund', 'refunds', 'gateway_clearing'),
    ('refund_reversal', 'gateway_clearing', 'refunds')
));
alter table refunds drop column outside_at;
alter table refunds drop column outside_reference;
alter table refunds drop column outside_reason;
alter table refunds drop constraint refunds_origin_check;
alter table refunds add constraint refunds_origin_check check (origin in ('ours', 'cut', 'elsewhere'));
