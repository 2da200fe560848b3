//! Authorises, captures, voids and refunds through a payment gateway.

pub mod commands;
pub mod domain;
pub mod reactions;
mod schema;
pub mod store;

/// `ce_source` of everything that is said here.
pub const SOURCE: &str = "/payment-svc";
