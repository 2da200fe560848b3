//! What the gateway tells by webhook: who said it, and of which intent. No IO.

mod event;
mod signature;

pub use event::{NotJson, WebhookEvent};
pub use signature::{BadSignature, NoSecrets, Secrets};
