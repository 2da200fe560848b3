//! What stock-svc decides, without IO: state and fact in, change and events out, or a refusal that says why.

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

/// A transition that the state machine doesn't allow. Where a race can cause it, it is recorded and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {what} that is {state} can't be {wanted}")]
pub struct Refused {
    /// Reservation, shipment or product.
    pub what: &'static str,
    /// What was asked for, as a participle.
    pub wanted: &'static str,
    /// What it is.
    pub state: &'static str,
}
