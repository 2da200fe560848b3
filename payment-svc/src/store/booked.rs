//! Lines of the ledger by when they were entered, with whose money they moved: for comparing a day with the gateway.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use uuid::Uuid;

use super::ledger::Entry;

/// A payment, and whether a call of it to the gateway is unfinished.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whose {
    pub payment: Uuid,
    pub order: Uuid,
    pub intent: Option<String>,
    pub under_way: bool,
}

/// A line that moved captured money, or a payment without any.
#[derive(Clone, Debug, PartialEq)]
pub struct Booked {
    pub whose: Whose,
    pub entry: Option<Entry>,
}

type Columns =
    ((SqlUuid, SqlUuid, Nullable<Text>, Bool), Nullable<(Text, BigInt, Text, Text, Text, Text, Timestamptz)>);
type Row = ((Uuid, Uuid, Option<String>, bool), Option<(String, i64, String, String, String, String, DateTime<Utc>)>);

fn booked(((payment, order, intent, under_way), line): Row) -> Booked {
    let entry = line.map(|(operation, amount, currency, key, debit, credit, at)| Entry {
        operation,
        amount,
        currency,
        key,
        debit,
        credit,
        at,
    });
    Booked { whose: Whose { payment, order, intent, under_way }, entry }
}

/// The columns of a line with its payment, and the operations that move what was captured.
macro_rules! columns {
    () => {
        "select payments.payment_id, payments.order_id, payments.intent, exists (select from gateway_calls calls \
             where calls.payment_id = payments.payment_id and calls.finished_at is null), \
         ledger.operation, ledger.amount, ledger.currency, ledger.key, ledger.debit, ledger.credit, ledger.at "
    };
}
macro_rules! moves {
    () => {
        "ledger.operation in ('capture', 'refund', 'refund_reversal', 'refund_outside')"
    };
}

/// Lines that were entered from `from` to before `until`, the newest first, at most `limit`.
pub async fn between(
    mut conn: &AsyncPgConnection,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: i64,
) -> QueryResult<Vec<Booked>> {
    let rows: Vec<Row> = Between { from: &from, until: &until, limit: &limit }.load(&mut conn).await?;
    Ok(rows.into_iter().map(booked).collect())
}

prepared! {
    struct Between<'a> {
        from: &'a DateTime<Utc> as Timestamptz,
        until: &'a DateTime<Utc> as Timestamptz,
        limit: &'a i64 as BigInt,
    } -> Columns;
    concat!(
        columns!(), "from ledger join payments on payments.payment_id = ledger.payment_id \
         where ledger.at >= ? and ledger.at < ? and ", moves!(), " order by ledger.at desc, ledger.id desc limit ?"
    )
}

/// All lines of these payments, and of those that have one of these intents, in the order in which they were entered.
pub async fn of_payments(
    mut conn: &AsyncPgConnection,
    payments: &[Uuid],
    intents: &[&str],
) -> QueryResult<Vec<Booked>> {
    let rows: Vec<Row> = OfPayments { payments, intents }.load(&mut conn).await?;
    Ok(rows.into_iter().map(booked).collect())
}

prepared! {
    struct OfPayments<'a> { payments: &'a [Uuid] as Array<SqlUuid>, intents: &'a [&'a str] as Array<Text> } -> Columns;
    concat!(
        "with wanted (id) as materialized (select unnest(?) \
             union select payment_id from payments where intent = any (?) and intent is not null) ",
        columns!(), "from wanted join payments on payments.payment_id = wanted.id \
         left join ledger on ledger.payment_id = payments.payment_id and ", moves!(), " order by ledger.id"
    )
}
