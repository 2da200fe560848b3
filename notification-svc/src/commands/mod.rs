//! What this service does besides reacting; the transaction and the outbox append are visible here.

pub mod record_delivery;
pub mod suppress;
