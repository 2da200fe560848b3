-- What a line of the journal is about, where it is not the intent's charge: a refund or a dispute. Lists of a time read it.
alter table journal add column source text;
update journal set source = refunds.id from refunds
    where journal.operation in ('refund', 'refund_reversal') and refunds.payment_intent = journal.payment_intent
        and split_part(journal.idempotency_key, ':', 1) in (refunds.id, refunds.metadata ->> 'refund_id');
update journal set source = disputes.id from disputes
    where journal.operation in ('refund', 'refund_reversal') and disputes.payment_intent = journal.payment_intent
        and split_part(journal.idempotency_key, ':', 1) = disputes.id;
create index journal_by_time on journal (at, id);
