//! Authorises, captures, voids and refunds through a payment gateway.

pub mod commands;
pub mod domain;
pub mod gateway;
pub mod reactions;
mod schema;
pub mod store;
pub mod worker;

/// `ce_source` of everything that is said here.
pub const SOURCE: &str = "/payment-svc";
