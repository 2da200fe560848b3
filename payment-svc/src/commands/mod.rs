//! What changes a payment: a step of its state machine, and the gateway's answer.

mod customer_looked_up;
mod follow;
mod given_back;
mod intent_changed;
mod refund_payment;
mod retry;
mod settle;
mod settle_outside;

pub use customer_looked_up::customer_looked_up;
pub use follow::{RETRY, follow, heard};
pub use given_back::{Booked, book_given_back, made_elsewhere};
pub use intent_changed::{Heard, NotHeard, intent_changed};
pub use refund_payment::{RefundPayment, RefundPaymentError, refund_payment};
pub use retry::retry;
pub use settle::{settle, unanswered};
pub use settle_outside::{SettleOutside, settle_outside};
