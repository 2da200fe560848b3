//! The ledger: what payment-svc knows to have happened to money, in double entry. Equals the gateway's own journal.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{GatewayOperation, Money, PaymentId, RefundId};

use super::calls::name_of;
use crate::domain::{Call, Origin, Payment};
use crate::schema::ledger;

/// One effect on money: its amount moves from one account to another, so that all accounts together hold nothing.
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

/// The operation of a line that makes up for a refund that has come back.
pub const REVERSAL: &str = "refund_reversal";
const REVERSED: &str = ":reversal";
/// The operation of a line that tells of money that went back past the gateway, which knows nothing of it.
pub const OUTSIDE: &str = "refund_outside";

impl Entry {
    /// The refund that this line tells of, by its id: made, or come back.
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

/// Writes what a call of this payment has moved.
pub async fn write(conn: &mut AsyncPgConnection, payment: &Payment, call: Call, amount: Money) -> QueryResult<()> {
    let (debit, credit) = accounts(call.operation());
    let entry = (
        ledger::payment_id.eq(payment.id.0),
        ledger::operation.eq(name_of(call.operation())),
        ledger::amount.eq(amount.amount()),
        ledger::currency.eq(amount.currency().code()),
        ledger::key.eq(payment.key(call)),
        ledger::debit.eq(debit),
        ledger::credit.eq(credit),
    );
    diesel::insert_into(ledger::table).values(entry).execute(conn).await.map(drop)
}

/// Writes what is booked later of a refund that somebody else made: its key is the gateway's name and all that is booked.
pub async fn write_more(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    id: RefundId,
    amount: Money,
) -> QueryResult<()> {
    let (debit, credit) = accounts(GatewayOperation::Refund);
    let all = payment.refunds.iter().find(|refund| refund.id == id).map_or(amount, |refund| refund.amount);
    let entry = (
        ledger::payment_id.eq(payment.id.0),
        ledger::operation.eq(name_of(GatewayOperation::Refund)),
        ledger::amount.eq(amount.amount()),
        ledger::currency.eq(amount.currency().code()),
        ledger::key.eq(format!("{}:{}", reversed(payment, id), all.amount())),
        ledger::debit.eq(debit),
        ledger::credit.eq(credit),
    );
    diesel::insert_into(ledger::table).values(entry).execute(conn).await.map(drop)
}

/// Writes that a refund of this payment has come back.
///
/// # Errors
/// The database; a second line for the same refund is a violation of a unique index.
pub async fn reverse(conn: &mut AsyncPgConnection, payment: &Payment, id: RefundId, amount: Money) -> QueryResult<()> {
    let (debit, credit) = accounts(GatewayOperation::Refund);
    let entry = (
        ledger::payment_id.eq(payment.id.0),
        ledger::operation.eq(REVERSAL),
        ledger::amount.eq(amount.amount()),
        ledger::currency.eq(amount.currency().code()),
        ledger::key.eq(format!("{}{REVERSED}", reversed(payment, id))),
        ledger::debit.eq(credit),
        ledger::credit.eq(debit),
    );
    diesel::insert_into(ledger::table).values(entry).execute(conn).await.map(drop)
}

/// Writes that a refund of this payment was given back past the gateway.
///
/// # Errors
/// The database; a second line for the same refund is a violation of a unique index.
pub async fn write_outside(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    id: RefundId,
    amount: Money,
) -> QueryResult<()> {
    let entry = (
        ledger::payment_id.eq(payment.id.0),
        ledger::operation.eq(OUTSIDE),
        ledger::amount.eq(amount.amount()),
        ledger::currency.eq(amount.currency().code()),
        ledger::key.eq(format!("{id}:outside")),
        ledger::debit.eq(REFUNDS),
        ledger::credit.eq(BANK),
    );
    diesel::insert_into(ledger::table).values(entry).execute(conn).await.map(drop)
}

/// The gateway's name for a refund that somebody else made there, or our id.
fn reversed(payment: &Payment, id: RefundId) -> String {
    match payment.refunds.iter().find(|refund| refund.id == id).map(|refund| &refund.origin) {
        Some(Origin::Elsewhere(name)) => name.clone(),
        _ => id.to_string(),
    }
}

/// The entries of a payment, oldest first.
pub async fn of(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<Vec<Entry>> {
    let entries = ledger::table.filter(ledger::payment_id.eq(payment.0));
    entries.order(ledger::id).select(Entry::as_select()).load(conn).await
}
