//! Places, tracks and cancels orders; derives an order's status from the facts it heard.

pub mod domain;
