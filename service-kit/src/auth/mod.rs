//! Who sends a request, and what they may do. A token is checked by keys that are known already, so that no request waits for
//! the issuer. docs/SECURITY.md says who there is.

mod access;
mod actions;
mod caller;
mod config;
mod guest;
mod keys;
mod token;

pub(crate) use access::TokensNotAsked;
#[cfg(feature = "testing")]
pub use access::must_match;
pub use access::{Access, Guard, Rule, Who};
pub(crate) use actions::{Action, ActionView, ListQuery as ActionQuery, routes as action_routes};
pub use actions::{actor, time_to_live};
pub use caller::{Caller, Sees};
pub use config::{AuthConfig, vars};
pub use guest::{GUEST, GuestLinks};
pub use keys::{Keys, Source};
pub use token::{Refused, Token, Verifier};
