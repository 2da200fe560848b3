//! Orders as pure types and a state machine: facts and wishes in, status and events out. No IO.

mod destination;
mod facts;
mod order;
mod progress;
mod ranks;
mod status;
#[cfg(test)]
mod tests;
mod waiting;

pub use destination::Destination;
pub use facts::{CalledOff, Facts, Parcel, PaymentFact, ShipmentFact, StockFact, Tracking};
pub use order::{MAX_LINES, Order, Product, Wish, WishRefused};
pub use progress::{Decided, Progress, Refused, Step};
pub use ranks::Ranks;
pub use status::Status;
pub use waiting::WaitingFor;
