//! Orders as pure types with a state machine, and customers' profiles: events and requests in, status and events out. No
//! IO.

mod destination;
mod draft;
mod facts;
mod last_sequences;
mod patience;
mod profile;
mod state_machine;
mod status;
#[cfg(test)]
mod tests;
mod waiting;

pub use destination::Destination;
pub use draft::{CompleteDraft, CustomerDraft, DraftRefused, MAX_LINES, Order, OrderDraft, Product};
pub use facts::{CalledOff, Facts, Parcel, PaymentFact, ShipmentFact, StockFact, Tracking};
pub use last_sequences::LastSequences;
pub use patience::{PATIENCE, overdue_not_before};
pub use profile::{Profile, ProfileRefused};
pub use state_machine::{Decided, Progress, Refused, Transition};
pub use status::Status;
pub use waiting::WaitingFor;
