//! Use cases, one file each. Each opens its own transaction.

mod call_off_rest;
mod cancel_order;
mod change_order;
mod change_profile;
mod forget_customer;
mod place_order;
mod reannounce;
mod redirect_order;

pub use call_off_rest::call_off_rest;
pub use cancel_order::cancel_order;
pub use change_order::ChangeOrderError;
pub use change_profile::{ChangeProfileError, ProfileChanged, change_profile};
pub use forget_customer::{ForgetCustomerError, Forgotten, MOST_AT_ONCE, forget_customer};
pub use place_order::{PlaceOrder, PlaceOrderError, place_order};
pub use reannounce::{Announced, reannounce};
pub use redirect_order::redirect_order;

pub use crate::store::DEADLINE_TIMER;
