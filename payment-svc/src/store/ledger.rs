//! The ledger: what payment-svc knows to have happened to money, in double entry. Equals the gateway's own journal.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use shared_events::{GatewayOperation, Money, PaymentId, RefundId};
use uuid::Uuid;

use super::calls::name_of;
use crate::domain::{Call, Origin, Payment};
use crate::metrics;
use crate::schema::ledger;

/// One effect on money: its amount moves from one account to another, so all accounts together sum to zero.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = ledger)]
pub struct Entry {
    /// `authorise`, `capture`, `void`, `refund`, [`REVERSAL`] or [`OUTSIDE`].
    pub operation: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The call's key at the gateway.
    pub key: String,
    /// The account that it goes to.
    pub debit: String,
    /// The account that it comes from.
    pub credit: String,
    /// When it was known.
    pub at: DateTime<Utc>,
}

/// What the customer has pledged and not yet paid.
pub const CUSTOMER: &str = "customer";
/// What the gateway holds for us: pledged or paid, less what it gave back.
pub const GATEWAY_CLEARING: &str = "gateway_clearing";
/// What was ever taken.
pub const REVENUE: &str = "revenue";
/// What was ever given back.
pub const REFUNDS: &str = "refunds";
/// What was paid from the shop's own bank account.
pub const BANK: &str = "bank";

/// The operation of a line that makes up for a refund that came back.
pub const REVERSAL: &str = "refund_reversal";
const REVERSED: &str = ":reversal";
/// The operation of a line for money that went back past the gateway, which knows nothing of it.
pub const OUTSIDE: &str = "refund_outside";

impl Entry {
    /// The id of the refund that this line is about, made or come back.
    pub fn refund(&self) -> Option<&str> {
        match self.operation.as_str() {
            // What was cut after the gateway had refused it has its amount in its key.
            "refund" => Some(self.key.split(':').next().unwrap_or(&self.key)),
            REVERSAL => Some(self.key.strip_suffix(REVERSED).unwrap_or(&self.key)),
            _ => None,
        }
    }
}

/// The accounts that an operation moves its amount between, debited and credited; the database knows no others.
pub const fn accounts(operation: GatewayOperation) -> (&'static str, &'static str) {
    match operation {
        GatewayOperation::Authorise => (GATEWAY_CLEARING, CUSTOMER),
        GatewayOperation::Void => (CUSTOMER, GATEWAY_CLEARING),
        GatewayOperation::Capture => (CUSTOMER, REVENUE),
        GatewayOperation::Refund => (REFUNDS, GATEWAY_CLEARING),
    }
}

#[derive(Clone, Debug)]
pub(super) struct NewEntry {
    payment: PaymentId,
    operation: &'static str,
    amount: Money,
    key: String,
    debit: &'static str,
    credit: &'static str,
}

impl NewEntry {
    /// What a call of this payment has moved.
    pub fn of_call(payment: &Payment, call: Call, amount: Money) -> Self {
        let (debit, credit) = accounts(call.operation());
        let operation = name_of(call.operation());
        Self { payment: payment.id, operation, amount, key: payment.key(call), debit, credit }
    }

    /// What is entered later of a refund made elsewhere. Its key is the gateway's name and all that is entered.
    pub fn made_good(payment: &Payment, id: RefundId, amount: Money) -> Self {
        let all = payment.refunds.iter().find(|refund| refund.id == id).map_or(amount, |refund| refund.amount);
        let key = format!("{}:{}", reversed(payment, id), all.amount());
        Self { key, ..Self::of_call(payment, Call::Refund(id), amount) }
    }

    /// A refund of this payment has come back. A second line for the same refund is a violation of a unique index.
    pub fn reversal(payment: &Payment, id: RefundId, amount: Money) -> Self {
        let (debit, credit) = (GATEWAY_CLEARING, REFUNDS);
        let key = format!("{}{REVERSED}", reversed(payment, id));
        Self { payment: payment.id, operation: REVERSAL, amount, key, debit, credit }
    }

    /// A refund of this payment was paid past the gateway. A second line for it violates a unique index.
    pub fn outside(payment: &Payment, id: RefundId, amount: Money) -> Self {
        let key = format!("{id}:outside");
        Self { payment: payment.id, operation: OUTSIDE, amount, key, debit: REFUNDS, credit: BANK }
    }
}

/// Enters lines, in order.
pub(super) async fn enter(mut conn: &AsyncPgConnection, entries: &[NewEntry]) -> QueryResult<()> {
    let mut rows = Enter::default();
    for entry in entries {
        rows.payments.push(entry.payment.0);
        rows.operations.push(entry.operation);
        rows.amounts.push(entry.amount.amount());
        rows.currencies.push(entry.amount.currency().code());
        rows.keys.push(&entry.key);
        rows.debits.push(entry.debit);
        rows.credits.push(entry.credit);
    }
    if !entries.is_empty() {
        rows.execute(&mut conn).await?;
        entries.iter().for_each(|entry| metrics::moved(entry.operation, entry.amount));
    }
    Ok(())
}

prepared! {
    #[derive(Default)]
    struct Enter<'a> {
        payments: Vec<Uuid> as Array<SqlUuid>,
        operations: Vec<&'a str> as Array<Text>,
        amounts: Vec<i64> as Array<BigInt>,
        currencies: Vec<&'a str> as Array<Text>,
        keys: Vec<&'a str> as Array<Text>,
        debits: Vec<&'a str> as Array<Text>,
        credits: Vec<&'a str> as Array<Text>,
    };
    "insert into ledger (payment_id, operation, amount, currency, key, debit, credit) \
     select * from unnest(?, ?, ?, ?, ?, ?, ?)"
}

/// The gateway's name for a refund that somebody else made there, or our id.
fn reversed(payment: &Payment, id: RefundId) -> String {
    match payment.refunds.iter().find(|refund| refund.id == id).map(|refund| &refund.origin) {
        Some(Origin::Elsewhere(name)) => name.clone(),
        _ => id.to_string(),
    }
}

/// The entries of a payment, oldest first.
pub async fn of(mut conn: &AsyncPgConnection, payment: PaymentId) -> QueryResult<Vec<Entry>> {
    let entries = ledger::table.filter(ledger::payment_id.eq(payment.0));
    entries.order(ledger::id).select(Entry::as_select()).load(&mut conn).await
}
