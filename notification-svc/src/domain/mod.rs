mod content;
mod declined;
mod delivery;
mod letter;
mod order;
mod profile;
mod status;
mod template;
mod writer;

pub use content::{CalledOffLine, LetterContent, Line, ShortLine};
pub use delivery::{MAX_ATTEMPTS, SendError, Verdict};
pub use letter::{Letter, Templates};
pub use order::{Contact, Notification, Order, Origin, Unwritable};
pub use profile::Profile;
pub use shared_events::Channel;
pub use status::Status;
pub use template::Template;
pub use writer::{LINK_TOKEN, Writer};
