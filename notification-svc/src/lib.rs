//! Tells customers by e-mail and keeps what was sent.
