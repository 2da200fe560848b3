//! What the bank really holds for one payment, and the gateway's own journal of how that came about.

use shared_events::GatewayOperation;

/// One effect on money, as journal and ledger name it; amounts in minor units.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// What was done.
    pub operation: GatewayOperation,
    /// How much.
    pub amount: i64,
    /// The call's key.
    pub key: String,
}

/// The bank's side of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bank {
    /// Reserved.
    pub authorised: i64,
    /// Taken, refunds not counted.
    pub captured: i64,
    /// Given back.
    pub refunded: i64,
    /// The customer is asked to act, as with 3-D Secure; they may until the intent is ended.
    pub asks_customer: bool,
    /// Every effect there was.
    pub journal: Vec<Entry>,
}

impl Bank {
    /// Whether a call with this key has had its effect.
    pub fn did(&self, key: &str) -> bool {
        self.journal.iter().any(|entry| entry.key == key)
    }

    /// Does what is asked, once for a key. A void ends the intent and lets go of what is authorised, if anything is.
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

    /// What the shop has of the customer's money.
    pub const fn net(&self) -> i64 {
        self.captured - self.refunded
    }
}
