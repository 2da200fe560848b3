//! The decisions of stock-svc, without IO: state and event in, change and events out, or a refusal with its reason.

mod allocation;
mod input;
mod level;
mod product;
mod reservation;
mod shipment;
mod stock_movement;

pub use allocation::{Allocation, Change, lines_of};
pub use input::{Delta, Description, LowStockMark, OnHand, Price, Unfit};
pub use level::{Level, Levels, MAX_ON_HAND, Unadjustable};
pub use product::{Details, Product};
pub use reservation::{Reservation, State};
pub use shipment::{NewParcel, Shipment, Stage};
pub use stock_movement::StockMovement;

/// A transition that the state machine doesn't allow. If a race can cause it, it is recorded and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {state} can't be {wanted}")]
pub struct Refused {
    /// Reservation, shipment, or product.
    pub what: &'static str,
    /// The requested transition, as a participle.
    pub wanted: &'static str,
    pub state: &'static str,
}
