//! The gateway's own journal of money, as far as it is compared with our ledger.

use std::future::Future;

use super::{GatewayError, GivenBack};

/// What can be asked of the gateway's journal. Nothing here moves money.
pub trait GatewayJournal: Send + Sync + 'static {
    /// What happened to the money of one intent: nothing, if the gateway doesn't know it.
    fn totals(&self, intent: String) -> impl Future<Output = Result<JournalTotals, GatewayError>> + Send;

    /// All intents, newest first: those after `after`, and whether there are more.
    fn intents(
        &self,
        after: Option<String>,
    ) -> impl Future<Output = Result<(Vec<ListedIntent>, bool), GatewayError>> + Send;
}

/// What happened to the money of one intent; amounts in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalTotals {
    /// Reserved, at any time.
    pub authorised: i64,
    pub captured: i64,
    pub voided: i64,
    /// Given back and not failed since, one by one: by refunds, and by disputes that were not won.
    pub given_back: Vec<GivenBack>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedIntent {
    pub id: String,
    pub order: Option<String>,
    /// Whether money is reserved or taken with it.
    pub has_money: bool,
}
