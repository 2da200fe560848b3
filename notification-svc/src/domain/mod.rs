mod content;
mod declined;
mod delivery;
mod letter;
mod order;
mod status;
mod template;

pub use content::{CalledOffLine, LetterContent, Line, ShortLine};
pub use delivery::{MAX_ATTEMPTS, SendError, Verdict};
pub use letter::{Letter, Templates};
pub use order::{Contact, Notification, Order, Origin, Unwritable};
pub use status::Status;
pub use template::Template;

/// How events and responses name e-mail.
pub const CHANNEL: &str = "email";
