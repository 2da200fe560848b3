//! What this service does besides reacting; load, decide, save and the transaction are visible here.

pub mod record_deliveries;
