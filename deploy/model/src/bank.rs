//! The bank's true state of one payment, and the gateway's journal of how it came about.

use shared_events::GatewayOperation;

/// One movement of money, in the journal or in payment-svc's ledger. Amounts are in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    pub operation: GatewayOperation,
    pub amount: i64,
    /// The call's idempotency key.
    pub key: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bank {
    /// Reserved for the shop.
    pub authorised: i64,
    /// Captured in total; refunds are not subtracted.
    pub captured: i64,
    /// Refunded in total.
    pub refunded: i64,
    /// The customer has been asked to act, as with 3-D Secure. They may do so until the intent is cancelled.
    pub asks_customer: bool,
    pub journal: Vec<Entry>,
}

impl Bank {
    /// Whether a call with this key has had its effect.
    pub fn did(&self, key: &str) -> bool {
        self.journal.iter().any(|entry| entry.key == key)
    }

    /// Does what is asked, once a key. A void cancels the intent and releases whatever is authorised.
    pub fn act(&mut self, operation: GatewayOperation, amount: i64, key: String) {
        if self.did(&key) {
            return;
        }
        let amount = if operation == GatewayOperation::Void { self.authorised } else { amount };
        match operation {
            GatewayOperation::Authorise => self.authorised += amount,
            GatewayOperation::Capture => {
                self.authorised -= amount;
                self.captured += amount;
            }
            GatewayOperation::Void => self.authorised = 0,
            GatewayOperation::Refund => self.refunded += amount,
        }
        self.asks_customer = false;
        if amount > 0 {
            self.journal.push(Entry { operation, amount, key });
        }
    }

    /// How much of the customer's money the shop has.
    pub const fn net(&self) -> i64 {
        self.captured - self.refunded
    }
}
