use std::fmt;

use serde::{Deserialize, Serialize};

shared_events::named! {
    /// Where a notification stands: queued -> sent, failed or suppressed.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
    #[serde(rename_all = "snake_case")]
    pub enum Status: as_str {
        /// To be sent, or to be sent again.
        Queued = "queued",
        /// The mail server has taken it.
        Sent = "sent",
        /// It will not be tried again by itself.
        Failed = "failed",
        /// It was no longer true when it was to be sent.
        Suppressed = "suppressed",
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
