-- A refund that the gateway has refused for good, or that came back, may be given back past the gateway, as by bank transfer.
-- Staff say so: why, and under which reference the transfer is found.
alter table refunds drop constraint refunds_origin_check;
alter table refunds add constraint refunds_origin_check check (origin in ('ours', 'cut', 'elsewhere', 'outside'));
alter table refunds add column outside_reason text;
alter table refunds add column outside_reference text;
alter table refunds add column outside_at timestamptz;

-- `bank` is what the shop has paid from its own account.
alter table ledger drop constraint ledger_accounts;
alter table ledger add constraint ledger_accounts check ((operation, debit, credit) in (
    ('authorise', 'gateway_clearing', 'customer'),
    ('void', 'customer', 'gateway_clearing'),
    ('capture', 'customer', 'revenue'),
    ('refund', 'refunds', 'gateway_clearing'),
    ('refund_reversal', 'gateway_clearing', 'refunds'),
    ('refund_outside', 'refunds', 'bank')
));
