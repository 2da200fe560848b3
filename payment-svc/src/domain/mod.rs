//! The payment's state machine: an event or a reply in; state, events and the next gateway call out. No IO.

mod elsewhere;
mod facts;
mod gateway_replies;
mod payment;
mod refunds;
#[cfg(test)]
mod tests;
mod waiting;
#[cfg(test)]
mod walks;

pub use elsewhere::{CAPTURED_IN_PART, Elsewhere, refund_made_elsewhere};
pub use gateway_replies::GatewayReply;
pub use payment::{Call, Charge, ChargeLine, Hold, Payment, Refused, State, Transition, status};
pub use refunds::{Origin, Refund, RefundState};
