//! What customers are told and how, without IO.

mod declined;
mod delivery;
mod fact;
mod letter;
mod status;

pub use delivery::{MAX_ATTEMPTS, Next, SendError, after_failure};
pub use fact::{CalledOffLine, Fact, Line, ShortLine, Template};
pub use letter::{Letter, Templates};
pub use status::Status;

/// The way that messages go, as events and answers name it.
pub const CHANNEL: &str = "email";
