//! What changes a payment besides events: staff, the gateway's replies, and what is found at the gateway.

mod customer_looked_up;
mod given_back;
mod intent_changed;
mod refund_payment;
mod settle;
mod settle_outside;

pub use customer_looked_up::{
    CustomerFound, LookedUp, customer_found, customers_looked_up, customers_looked_up_unless_locked,
};
pub use given_back::{Entered, enter_found, enter_given_back};
pub use intent_changed::{Heard, NotHeard, found, hear_webhook, intent_changed};
pub use refund_payment::{RefundPayment, RefundPaymentError, refund_payment};
pub use settle::{Asked, Settlement, answered, settle, settle_unless_locked};
pub use settle_outside::{SettleOutside, settle_outside};
