//! The ledger: what payment-svc knows to have happened to money. Equals the gateway's own journal.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::{Money, PaymentId};

use super::calls::name_of;
use crate::domain::{Call, Payment};
use crate::schema::ledger;

/// One effect on money.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = ledger)]
pub struct Entry {
    /// `authorise`, `capture`, `void` or `refund`.
    pub operation: String,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The call's key at the gateway.
    pub key: String,
    /// When it was known.
    pub at: DateTime<Utc>,
}

/// Writes what a call of this payment has moved.
///
/// # Errors
/// The database.
pub async fn write(conn: &mut AsyncPgConnection, payment: &Payment, call: Call, amount: Money) -> QueryResult<()> {
    let entry = (
        ledger::payment_id.eq(payment.id.0),
        ledger::operation.eq(name_of(call.operation())),
        ledger::amount.eq(amount.amount()),
        ledger::currency.eq(amount.currency().code()),
        ledger::key.eq(payment.key(call)),
    );
    diesel::insert_into(ledger::table).values(entry).execute(conn).await.map(drop)
}

/// The entries of a payment, oldest first.
///
/// # Errors
/// The database.
pub async fn of(conn: &mut AsyncPgConnection, payment: PaymentId) -> QueryResult<Vec<Entry>> {
    let entries = ledger::table.filter(ledger::payment_id.eq(payment.0));
    entries.order(ledger::id).select(Entry::as_select()).load(conn).await
}
