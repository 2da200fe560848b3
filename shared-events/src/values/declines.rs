//! What the codes of declined payments mean.

/// The customer was to authenticate with their bank, and did not in time. Our own code: no gateway says it.
pub const AUTHENTICATION_TIMEOUT: &str = "authentication_timeout";
