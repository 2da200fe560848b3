alter table journal drop constraint journal_operation_check;
alter table journal add constraint journal_operation_check check (operation in ('authorise', 'capture', 'void', 'refund'));
alter table refunds drop column failure_reason;
