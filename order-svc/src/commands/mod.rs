//! Use cases, one file each. Each opens its own transaction.

mod call_off_rest;
mod cancel_order;
mod change_order;
mod place_order;
mod redirect_order;

pub use call_off_rest::call_off_rest;
pub use cancel_order::cancel_order;
pub use change_order::ChangeOrderError;
pub use place_order::{PlaceOrder, PlaceOrderError, place_order};
pub use redirect_order::redirect_order;

pub use crate::store::DEADLINE_TIMER;
