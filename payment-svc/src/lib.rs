//! Authorises, captures, voids and refunds through a payment gateway.

pub mod domain;
