-- A refund that was made may fail at the customer's bank days later: its money is with us again, and the journal says so.
alter table refunds add column failure_reason text;
alter table journal drop constraint journal_operation_check;
alter table journal add constraint journal_operation_check
    check (operation in ('authorise', 'capture', 'void', 'refund', 'refund_reversal'));
