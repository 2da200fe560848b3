//! Authorises, captures, voids and refunds through a payment gateway.
